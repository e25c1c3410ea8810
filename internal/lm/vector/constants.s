//go:build amd64 || arm64

#include "textflag.h"

// The constants of Exp.
DATA ·expTable+0(SB)/4, $0x3fb8aa3b   // log2 e
DATA ·expTable+4(SB)/4, $0x3f318000   // 0.693359375
DATA ·expTable+8(SB)/4, $0xb95e8083   // -2.12194440e-4
DATA ·expTable+12(SB)/4, $0x39506967  // 1.9875691500e-4
DATA ·expTable+16(SB)/4, $0x3ab743ce  // 1.3981999507e-3
DATA ·expTable+20(SB)/4, $0x3c088908  // 8.3334519073e-3
DATA ·expTable+24(SB)/4, $0x3d2aa9c1  // 4.1665795894e-2
DATA ·expTable+28(SB)/4, $0x3e2aaaaa  // 1.6666665459e-1
DATA ·expTable+32(SB)/4, $0x3f000000  // 5.0000001201e-1
DATA ·expTable+36(SB)/4, $0x3f800000  // 1
DATA ·expTable+40(SB)/4, $0xc2ae0000  // -87
DATA ·expTable+44(SB)/4, $127
DATA ·expTable+48(SB)/4, $0x42b00000  // 88
DATA ·expTable+52(SB)/4, $0x40400000  // 3
GLOBL ·expTable(SB), RODATA|NOPTR, $56

// tanh x = x·p(x²)/q(x²) from -7.9 to 7.9, outside of which it is ±1: the coefficients of p
// and q, the highest first, and the bounds, as in Eigen.
DATA ·tanhTable+0(SB)/4, $0xa59f25c0 // -2.76076847742355e-16
DATA ·tanhTable+4(SB)/4, $0x2a61337e // 2.00018790482477e-13
DATA ·tanhTable+8(SB)/4, $0xaebd37ff // -8.60467152213735e-11
DATA ·tanhTable+12(SB)/4, $0x335c0041 // 5.12229709037114e-08
DATA ·tanhTable+16(SB)/4, $0x3779434a // 1.48572235717979e-05
DATA ·tanhTable+20(SB)/4, $0x3a270ded // 0.000637261928875436
DATA ·tanhTable+24(SB)/4, $0x3ba059dc // 0.00489352455891786
DATA ·tanhTable+28(SB)/4, $0x35a0d3d8 // 1.19825839466702e-06
DATA ·tanhTable+32(SB)/4, $0x38f895d6 // 0.000118534705686654
DATA ·tanhTable+36(SB)/4, $0x3b14aa05 // 0.002268434632439
DATA ·tanhTable+40(SB)/4, $0x3ba059dd // 0.00489352518554385
DATA ·tanhTable+44(SB)/4, $0x40fcf84f // 7.9053111076355
DATA ·tanhTable+48(SB)/4, $0xc0fcf84f // -7.9053111076355
GLOBL ·tanhTable(SB), RODATA|NOPTR, $52
