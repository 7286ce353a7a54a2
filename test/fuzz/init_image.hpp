// In place of the programs that the build links in; for one source of each target.
#pragma once

extern "C" {
extern const unsigned char strata_init_start[];
extern const unsigned char strata_init_end[];
extern const unsigned char strata_keeper_start[];
extern const unsigned char strata_keeper_end[];
}
__asm__(
    ".section .rodata\nstrata_init_start: .byte 1, 2, 3, 4\nstrata_init_end:\n.globl strata_init_start, strata_init_end\n"
    "strata_keeper_start: .byte 1, 2, 3, 4\nstrata_keeper_end:\n.globl strata_keeper_start, strata_keeper_end\n.previous");
