"""The usage store on PostgreSQL: for several control planes, and for what outgrows one file."""
