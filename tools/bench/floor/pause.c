/* SPDX-License-Identifier: MIT
 *
 * The least a process can be: what it costs is the floor under every supervisor.
 */
#include <unistd.h>

int main(void)
{
    for (;;)
        (void)pause();
}
