#include "textflag.h"

// Eight accumulators: Y0-Y3 hold the four rows of x times the first row of w, Y4-Y7
// times the second. Six loads feed eight multiply-adds, so the multipliers are the limit.

#define SETUP \
	MOVQ y+0(FP), DX \
	MOVQ ys+8(FP), R13 \
	MOVQ x+16(FP), SI \
	MOVQ xs+24(FP), R8 \
	MOVQ w+32(FP), DI \
	MOVQ ws+40(FP), R15 \
	MOVQ blocks+48(FP), BX \
	MOVQ pairs+56(FP), AX \
	LEAQ (SI)(R8*1), R9 \
	LEAQ (R9)(R8*1), R10 \
	LEAQ (R10)(R8*1), R11 \
	LEAQ (R13)(R13*2), R8 \
	SHLQ $5, BX

#define ZERO \
	VXORPS Y0, Y0, Y0 \
	VXORPS Y1, Y1, Y1 \
	VXORPS Y2, Y2, Y2 \
	VXORPS Y3, Y3, Y3 \
	VXORPS Y4, Y4, Y4 \
	VXORPS Y5, Y5, Y5 \
	VXORPS Y6, Y6, Y6 \
	VXORPS Y7, Y7, Y7

#define ACCUMULATE \
	VMOVUPS (SI)(CX*1), Y10 \
	VMOVUPS (R9)(CX*1), Y11 \
	VMOVUPS (R10)(CX*1), Y12 \
	VMOVUPS (R11)(CX*1), Y13 \
	VFMADD231PS Y8, Y10, Y0 \
	VFMADD231PS Y9, Y10, Y4 \
	VFMADD231PS Y8, Y11, Y1 \
	VFMADD231PS Y9, Y11, Y5 \
	VFMADD231PS Y8, Y12, Y2 \
	VFMADD231PS Y9, Y12, Y6 \
	VFMADD231PS Y8, Y13, Y3 \
	VFMADD231PS Y9, Y13, Y7

// The lanes of each accumulator are added up in one order, whatever its place.
#define STORE \
	VHADDPS Y1, Y0, Y0 \
	VHADDPS Y3, Y2, Y2 \
	VHADDPS Y5, Y4, Y4 \
	VHADDPS Y7, Y6, Y6 \
	VHADDPS Y2, Y0, Y0 \
	VHADDPS Y6, Y4, Y4 \
	VEXTRACTF128 $1, Y0, X8 \
	VEXTRACTF128 $1, Y4, X9 \
	VADDPS X8, X0, X0 \
	VADDPS X9, X4, X4 \
	VUNPCKLPS X4, X0, X8 \
	VUNPCKHPS X4, X0, X9 \
	VMOVLPS X8, (DX) \
	VMOVHPS X8, (DX)(R13*1) \
	VMOVLPS X9, (DX)(R13*2) \
	VMOVHPS X9, (DX)(R8*1) \
	ADDQ $8, DX

// func products32(y *float32, ys int, x *float32, xs int, w *float32, ws, blocks, pairs int)
TEXT ·products32(SB), NOSPLIT, $0-64
	SETUP

pair32:
	LEAQ (DI)(R15*1), R12
	LEAQ (DI)(R15*4), R14
	ZERO
	XORQ CX, CX

loop32:
	PREFETCHT0 (R14)(CX*2) // the pair after the next, one line each time
	VMOVUPS (DI)(CX*1), Y8
	VMOVUPS (R12)(CX*1), Y9
	ACCUMULATE
	ADDQ $32, CX
	CMPQ CX, BX
	JLT  loop32

	STORE
	LEAQ (DI)(R15*2), DI
	DECQ AX
	JNZ  pair32
	VZEROUPPER
	RET

// func products16(y *float32, ys int, x *float32, xs int, w *uint16, ws, blocks, pairs int)
TEXT ·products16(SB), NOSPLIT, $0-64
	SETUP

pair16:
	LEAQ (DI)(R15*1), R12
	LEAQ (DI)(R15*4), R8
	ZERO
	XORQ CX, CX

loop16:
	PREFETCHT0 (R8)(CX*1)
	// A bfloat16 is the upper half of a float32. Its rows advance half as fast.
	MOVQ CX, R14
	SHRQ $1, R14
	VPMOVZXWD (DI)(R14*1), Y8
	VPMOVZXWD (R12)(R14*1), Y9
	VPSLLD $16, Y8, Y8
	VPSLLD $16, Y9, Y9
	ACCUMULATE
	ADDQ $32, CX
	CMPQ CX, BX
	JLT  loop16

	LEAQ (R13)(R13*2), R8
	STORE
	LEAQ (DI)(R15*2), DI
	DECQ AX
	JNZ  pair16
	VZEROUPPER
	RET

// func sum32(y, p, v *float32, vs, n int)
TEXT ·sum32(SB), NOSPLIT, $0-40
	MOVQ y+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ v+16(FP), DX
	MOVQ vs+24(FP), R8
	MOVQ n+32(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3

rows:
	VBROADCASTSS (SI), Y4
	VFMADD231PS (DX), Y4, Y0
	VFMADD231PS 32(DX), Y4, Y1
	VFMADD231PS 64(DX), Y4, Y2
	VFMADD231PS 96(DX), Y4, Y3
	ADDQ $4, SI
	ADDQ R8, DX
	DECQ CX
	JNZ  rows

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VZEROUPPER
	RET
