"""The promises of the conformance kit without "processes", which starts one and is slow."""

from audiotok.testing import PROMISES

WITHOUT_PROCESSES = [promise for promise in PROMISES if promise.name != "processes"]
