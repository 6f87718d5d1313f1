"""What the EMR says of itself: CapabilityStatement and SMART configuration."""

from typing import Any

from emr.fhir import TYPES, instant
from emr.settings import Settings


def capability_statement(settings: Settings, now: float, base: str) -> dict[str, Any]:
    """The CapabilityStatement (R4) that fits the settings."""
    codes = ["read", "vread", "search-type"]
    if settings.fhir_write:
        codes += ["create", "update"]
    rest: dict[str, Any] = {
        "mode": "server",
        "resource": [
            {
                "type": kind,
                "versioning": "versioned-update",
                "readHistory": False,
                "updateCreate": settings.update_create,
                "conditionalCreate": settings.conditional_create,
                "interaction": [{"code": code} for code in codes],
            }
            for kind in TYPES
        ],
    }
    if settings.fhir_write:
        rest["interaction"] = [{"code": "transaction"}]
    if settings.auth == "smart":
        coding = {"code": "SMART-on-FHIR"}
        rest["security"] = {"service": [{"coding": [coding]}]}
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(now),
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "implementation": {"description": "Fault-injecting EMR", "url": base},
        "software": {"name": "Fault-injecting EMR"},
        "rest": [rest],
    }


def smart_configuration(settings: Settings, token_endpoint: str) -> dict[str, Any]:
    """``.well-known/smart-configuration``."""
    return {
        "token_endpoint": token_endpoint,
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": settings.scopes.split(),
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }


def may_write(settings: Settings, scopes: str | None) -> bool:
    """Whether the scopes of a request allow writing (SMART v1 ``write``, v2 ``c`` or ``u``)."""
    if settings.auth != "smart":
        return True
    for scope in (scopes or "").split():
        access = scope.rpartition(".")[2].partition("?")[0]
        if access in ("write", "*") or "c" in access or "u" in access:
            return True
    return False
