"""Measuring: how long a module really takes on the machine at hand, and how that was got."""

from modelwright.networks.measuring.measure import measure
from modelwright.networks.measuring.resume import resume
from modelwright.networks.measuring.setting import Protocol, Setting
from modelwright.networks.measuring.subject import Subject, architecture_subject, module_subject

__all__ = ["Protocol", "Setting", "Subject", "architecture_subject", "measure", "module_subject", "resume"]
