"""A provider of models on loopback: OpenAI's chat and Anthropic's messages, and a bill.

The sample agents' real clients call it as they would call the real ones. What it answers is not
worth reading; what it says was used is what everything else here is about.

python -m uvicorn examples.provider.server:app
"""
