#include "textflag.h"

DATA dropc<>+0(SB)/4, $0
DATA dropc<>+4(SB)/4, $1
DATA dropc<>+8(SB)/4, $2
DATA dropc<>+12(SB)/4, $3
DATA dropc<>+16(SB)/4, $4
DATA dropc<>+20(SB)/4, $5
DATA dropc<>+24(SB)/4, $6
DATA dropc<>+28(SB)/4, $7
DATA dropc<>+32(SB)/4, $8
DATA dropc<>+36(SB)/4, $0x85EBCA77
DATA dropc<>+40(SB)/4, $0x85EBCA6B
DATA dropc<>+44(SB)/4, $0xC2B2AE35
GLOBL dropc<>(SB), RODATA|NOPTR, $48

// func drop32(y, x *float32, blocks int, first, seed, limit uint32, times float32)
TEXT ·drop32(SB), NOSPLIT, $0-40
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ blocks+16(FP), CX
	VBROADCASTSS first+24(FP), Y0
	VBROADCASTSS seed+28(FP), Y15
	VBROADCASTSS limit+32(FP), Y14
	VBROADCASTSS times+36(FP), Y13
	VPADDD dropc<>+0(SB), Y0, Y0   // first + i
	VPBROADCASTD dropc<>+32(SB), Y12
	VPBROADCASTD dropc<>+36(SB), Y11
	VPBROADCASTD dropc<>+40(SB), Y10
	VPBROADCASTD dropc<>+44(SB), Y9

next:
	VPMULLD Y11, Y0, Y1
	VPXOR Y15, Y1, Y1
	VPSRLD $16, Y1, Y2
	VPXOR Y2, Y1, Y1
	VPMULLD Y10, Y1, Y1
	VPSRLD $13, Y1, Y2
	VPXOR Y2, Y1, Y1
	VPMULLD Y9, Y1, Y1
	VPSRLD $16, Y1, Y2
	VPXOR Y2, Y1, Y1
	VPMAXUD Y14, Y1, Y2
	VPCMPEQD Y1, Y2, Y2            // which are kept
	VMULPS (SI), Y13, Y3
	VANDPS Y2, Y3, Y3
	VMOVUPS Y3, (DI)
	VPADDD Y12, Y0, Y0
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  next

	VZEROUPPER
	RET
