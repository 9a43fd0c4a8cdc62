/* SPDX-License-Identifier: MIT */
#pragma once

/* The shortest text that reads back as the number, with an exponent unless that is from `least` to
 * below `most`; "NaN", "+Inf", "-Inf". */
void format_real(double real, int least, int most, char buf[64]);
