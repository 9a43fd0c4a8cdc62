/* SPDX-License-Identifier: MIT
 *
 * As Go writes numbers: an exponent has two digits at least, as in C.
 */
#include "shared/text/real.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void format_real(double real, int least, int most, char buf[64])
{
    int exponent, digits = 1;
    char *e;

    if (isnan(real) || isinf(real)) {
        (void)snprintf(buf, 64, "%s", isnan(real) ? "NaN" : real > 0 ? "+Inf" : "-Inf");
        return;
    }
    do
        (void)snprintf(buf, 64, "%.*e", digits - 1, real);
    while (strtod(buf, NULL) != real && digits++ < 17);
    e = strchr(buf, 'e');
    exponent = atoi(e + 1);
    if (exponent >= least && exponent < most)
        (void)snprintf(buf, 64, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0, real);
}
