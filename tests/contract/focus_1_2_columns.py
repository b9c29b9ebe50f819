"""The columns of FOCUS 1.2 and their content constraints, as the specification's tables have them.

Source: FOCUS specification 1.2, https://focus.finops.org/focus-specification/v1-2/ , "Columns".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["COLUMN_RULES", "DECIMAL", "JSON", "MOMENT", "PRESENT_WHEN", "STRING", "ColumnRule"]

Level = Literal["Mandatory", "Conditional", "Recommended"]

DECIMAL = "Decimal"
STRING = "String"
MOMENT = "Date/Time"
JSON = "JSON"


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """The content constraints of a column."""

    name: str
    level: Level
    nulls: bool
    type: str = STRING
    allowed: tuple[str, ...] = ()
    least: int | None = None


COLUMN_RULES = (
    ColumnRule("AvailabilityZone", "Recommended", nulls=True),
    ColumnRule("BilledCost", "Mandatory", False, DECIMAL),
    ColumnRule("BillingAccountId", "Mandatory", nulls=False),
    ColumnRule("BillingAccountName", "Mandatory", nulls=True),
    ColumnRule("BillingAccountType", "Conditional", nulls=False),
    ColumnRule("BillingCurrency", "Mandatory", nulls=False),
    ColumnRule("BillingPeriodEnd", "Mandatory", False, MOMENT),
    ColumnRule("BillingPeriodStart", "Mandatory", False, MOMENT),
    ColumnRule("CapacityReservationId", "Conditional", nulls=True),
    ColumnRule("CapacityReservationStatus", "Conditional", True, STRING, ("Used", "Unused")),
    ColumnRule(
        "ChargeCategory",
        "Mandatory",
        False,
        STRING,
        ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    ),
    ColumnRule("ChargeClass", "Mandatory", True, STRING, ("Correction",)),
    ColumnRule("ChargeDescription", "Mandatory", nulls=True),
    ColumnRule(
        "ChargeFrequency", "Recommended", False, STRING, ("One-Time", "Recurring", "Usage-Based")
    ),
    ColumnRule("ChargePeriodEnd", "Mandatory", False, MOMENT),
    ColumnRule("ChargePeriodStart", "Mandatory", False, MOMENT),
    ColumnRule("CommitmentDiscountCategory", "Conditional", True, STRING, ("Spend", "Usage")),
    ColumnRule("CommitmentDiscountId", "Conditional", nulls=True),
    ColumnRule("CommitmentDiscountName", "Conditional", nulls=True),
    ColumnRule("CommitmentDiscountQuantity", "Conditional", True, DECIMAL),
    ColumnRule("CommitmentDiscountStatus", "Conditional", True, STRING, ("Used", "Unused")),
    ColumnRule("CommitmentDiscountType", "Conditional", nulls=True),
    ColumnRule("CommitmentDiscountUnit", "Conditional", nulls=True),
    ColumnRule("ConsumedQuantity", "Conditional", True, DECIMAL),
    ColumnRule("ConsumedUnit", "Conditional", nulls=True),
    ColumnRule("ContractedCost", "Mandatory", False, DECIMAL),
    ColumnRule("ContractedUnitPrice", "Conditional", True, DECIMAL, least=0),
    ColumnRule("EffectiveCost", "Mandatory", False, DECIMAL),
    ColumnRule("InvoiceId", "Recommended", nulls=True),
    ColumnRule("InvoiceIssuerName", "Mandatory", nulls=False),
    ColumnRule("ListCost", "Mandatory", False, DECIMAL),
    ColumnRule("ListUnitPrice", "Conditional", True, DECIMAL, least=0),
    ColumnRule(
        "PricingCategory",
        "Conditional",
        True,
        STRING,
        ("Standard", "Dynamic", "Committed", "Other"),
    ),
    ColumnRule("PricingCurrency", "Conditional", nulls=True),
    ColumnRule("PricingCurrencyContractedUnitPrice", "Conditional", True, DECIMAL, least=0),
    ColumnRule("PricingCurrencyEffectiveCost", "Conditional", True, DECIMAL),
    ColumnRule("PricingCurrencyListUnitPrice", "Conditional", True, DECIMAL, least=0),
    ColumnRule("PricingQuantity", "Mandatory", True, DECIMAL),
    ColumnRule("PricingUnit", "Mandatory", nulls=True),
    ColumnRule("ProviderName", "Mandatory", nulls=False),
    ColumnRule("PublisherName", "Mandatory", nulls=False),
    ColumnRule("RegionId", "Conditional", nulls=True),
    ColumnRule("RegionName", "Conditional", nulls=True),
    ColumnRule("ResourceId", "Conditional", nulls=True),
    ColumnRule("ResourceName", "Conditional", nulls=True),
    ColumnRule("ResourceType", "Conditional", nulls=True),
    ColumnRule(
        "ServiceCategory",
        "Mandatory",
        False,
        STRING,
        (
            "AI and Machine Learning",
            "Analytics",
            "Business Applications",
            "Compute",
            "Databases",
            "Developer Tools",
            "Identity",
            "Integration",
            "Internet of Things",
            "Management and Governance",
            "Media",
            "Migration",
            "Mobile",
            "Multicloud",
            "Networking",
            "Security",
            "Storage",
            "Web",
            "Other",
        ),
    ),
    ColumnRule("ServiceName", "Mandatory", nulls=False),
    ColumnRule(
        "ServiceSubcategory",
        "Recommended",
        False,
        STRING,
        (
            "AI Platforms",
            "Bots",
            "Generative AI",
            "Machine Learning",
            "Natural Language Processing",
            "Other (AI and Machine Learning)",
        ),  # those of the category "AI and Machine Learning"
    ),
    ColumnRule("SkuId", "Conditional", nulls=True),
    ColumnRule("SkuMeter", "Conditional", nulls=True),
    ColumnRule("SkuPriceDetails", "Conditional", True, JSON),
    ColumnRule("SkuPriceId", "Conditional", nulls=True),
    ColumnRule("SubAccountId", "Conditional", nulls=True),
    ColumnRule("SubAccountName", "Conditional", nulls=True),
    ColumnRule("SubAccountType", "Conditional", nulls=True),
    ColumnRule("Tags", "Conditional", True, JSON),
)

PRESENT_WHEN = {
    "ConsumedQuantity": "the provider supports the measurement of usage",
    "ConsumedUnit": "the provider supports the measurement of usage",
    "ContractedUnitPrice": "the provider supports negotiated pricing concepts",
    "ListUnitPrice": "the provider publishes unit prices exclusive of discounts",
    "RegionId": "the provider supports services within a region",
    "RegionName": "the provider supports services within a region",
    "ResourceId": "the provider supports billing based on provisioned resources",
    "ResourceName": "the provider supports billing based on provisioned resources",
    "ResourceType": "the provider supports assigning types to resources",
    "SkuId": "the provider supports unit pricing and publishes price lists",
    "SkuMeter": "the provider supports unit pricing and publishes price lists",
    "SkuPriceDetails": "the provider supports unit pricing and publishes price lists",
    "SkuPriceId": "the provider supports unit pricing and publishes price lists",
    "SubAccountId": "the provider supports a sub account construct",
    "SubAccountName": "the provider supports a sub account construct",
    "Tags": "the provider supports setting tags",
}
"""Conditional columns whose condition is true of usage of models by agents."""
