"""`python -m nmt_trt`: the command line."""

from nmt_trt.cli import main

main()
