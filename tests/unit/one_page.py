#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""one_page.py PROGRAM FUNCTION…: fails unless all of these functions lie in one page of the program.
Every function that is not inlined is to be named: who is not there fails, too."""

import subprocess
import sys

PAGE = 4096

program, *wanted = sys.argv[1:]
nm = subprocess.run(["nm", "-S", program], check=True, capture_output=True, text=True).stdout
symbols = {words[3]: words for words in map(str.split, nm.splitlines()) if len(words) == 4}
pages = {}
for name in wanted:
    if name not in symbols:
        sys.exit(f"{program} has no function {name}: is it inlined now, or has it another name?")
    at, size = (int(word, 16) for word in symbols[name][:2])
    print(f"{name}: {size} bytes at {at:#x}")
    pages[name] = {at // PAGE, (at + size - 1) // PAGE}
if len(set.union(*pages.values())) > 1:
    sys.exit("they do not lie in one page")
