"""The unit of deployment: definitions, target and fitted model in a folder of text and arrays."""

from crmml.bundle.core import Bundle

__all__ = ["Bundle"]
