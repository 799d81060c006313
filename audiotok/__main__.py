"""`python -m audiotok`, and `accelerate launch -m audiotok train`, are the command line."""

from audiotok.cli import main

main()
