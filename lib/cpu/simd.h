// What every dispatched source includes before Highway: the instruction sets that are compiled.
#pragma once

// Vectors of a length unknown at compile time (SVE, RVV) do not fit the kernels' register blocking; Arm
// machines with SVE run the NEON code. SSSE3, Zen 4 and Sapphire Rapids would add code, not speed.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_ZEN4 | HWY_AVX3_SPR | HWY_AVX10_2 | HWY_ALL_SVE | HWY_RVV)

// Targets that look bytes up in whole registers (AVX-512 VBMI) and take byte planes of codes; the others
// take codes word by word. For use in #if, inside the code that is compiled per target.
#define GLQ_BYTE_PLANES (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL)
