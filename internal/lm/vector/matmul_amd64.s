#include "textflag.h"

// The micro kernels hold a tile of C in registers: a step loads one row of the panel of B
// and broadcasts the numbers of A, row by row. A's rows lie rs apart and its steps ks, so
// that A may lie either way round, or packed.

// Strides come as numbers and become bytes.
#define SETUP \
	MOVQ k+0(FP), CX \
	MOVQ a+8(FP), SI \
	MOVQ rs+16(FP), R8 \
	MOVQ ks+24(FP), R9 \
	MOVQ b+32(FP), BX \
	MOVQ bs+40(FP), R10 \
	MOVQ c+48(FP), DX \
	MOVQ cs+56(FP), R11 \
	MOVQ add+64(FP), AX \
	SHLQ $2, R8 \
	SHLQ $2, R9 \
	SHLQ $2, R10 \
	SHLQ $2, R11

// One row of 32 in two registers.
#define ROW512(at, c0, c1, t) \
	VBROADCASTSS at, t \
	VFMADD231PS Z16, t, c0 \
	VFMADD231PS Z17, t, c1

#define ADD512(c0, c1) \
	VADDPS (DX), c0, c0 \
	VADDPS 64(DX), c1, c1 \
	ADDQ R11, DX

#define STORE512(c0, c1) \
	VMOVUPS c0, (DX) \
	VMOVUPS c1, 64(DX) \
	ADDQ R11, DX

// func micro8x32(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, cs, add int)
TEXT ·micro8x32(SB), NOSPLIT, $0-72
	SETUP
	LEAQ (SI)(R8*4), DI
	LEAQ (R8)(R8*2), R12
	VPXORQ Z0, Z0, Z0
	VMOVAPS Z0, Z1
	VMOVAPS Z0, Z2
	VMOVAPS Z0, Z3
	VMOVAPS Z0, Z4
	VMOVAPS Z0, Z5
	VMOVAPS Z0, Z6
	VMOVAPS Z0, Z7
	VMOVAPS Z0, Z8
	VMOVAPS Z0, Z9
	VMOVAPS Z0, Z10
	VMOVAPS Z0, Z11
	VMOVAPS Z0, Z12
	VMOVAPS Z0, Z13
	VMOVAPS Z0, Z14
	VMOVAPS Z0, Z15

step8x32:
	VMOVUPS (BX), Z16
	VMOVUPS 64(BX), Z17
	ROW512((SI), Z0, Z1, Z18)
	ROW512((SI)(R8*1), Z2, Z3, Z19)
	ROW512((SI)(R8*2), Z4, Z5, Z20)
	ROW512((SI)(R12*1), Z6, Z7, Z21)
	ROW512((DI), Z8, Z9, Z22)
	ROW512((DI)(R8*1), Z10, Z11, Z23)
	ROW512((DI)(R8*2), Z12, Z13, Z24)
	ROW512((DI)(R12*1), Z14, Z15, Z25)
	ADDQ R9, SI
	ADDQ R9, DI
	ADDQ R10, BX
	DECQ CX
	JNZ  step8x32

	TESTQ AX, AX
	JZ    store8x32
	MOVQ  DX, SI
	ADD512(Z0, Z1)
	ADD512(Z2, Z3)
	ADD512(Z4, Z5)
	ADD512(Z6, Z7)
	ADD512(Z8, Z9)
	ADD512(Z10, Z11)
	ADD512(Z12, Z13)
	ADD512(Z14, Z15)
	MOVQ  SI, DX

store8x32:
	STORE512(Z0, Z1)
	STORE512(Z2, Z3)
	STORE512(Z4, Z5)
	STORE512(Z6, Z7)
	STORE512(Z8, Z9)
	STORE512(Z10, Z11)
	STORE512(Z12, Z13)
	STORE512(Z14, Z15)
	VZEROUPPER
	RET

// One row of 8 in one register.
#define ROW8(at, c, t) \
	VBROADCASTSS at, t \
	VFMADD231PS Y8, t, c

#define ADD8(c) \
	VADDPS (DX), c, c \
	ADDQ R11, DX

#define STORE8(c) \
	VMOVUPS c, (DX) \
	ADDQ R11, DX

// func micro8x8(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, cs, add int)
TEXT ·micro8x8(SB), NOSPLIT, $0-72
	SETUP
	LEAQ (SI)(R8*4), DI
	LEAQ (R8)(R8*2), R12
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7

step8x8:
	VMOVUPS (BX), Y8
	ROW8((SI), Y0, Y9)
	ROW8((SI)(R8*1), Y1, Y10)
	ROW8((SI)(R8*2), Y2, Y11)
	ROW8((SI)(R12*1), Y3, Y12)
	ROW8((DI), Y4, Y13)
	ROW8((DI)(R8*1), Y5, Y14)
	ROW8((DI)(R8*2), Y6, Y15)
	ROW8((DI)(R12*1), Y7, Y9)
	ADDQ R9, SI
	ADDQ R9, DI
	ADDQ R10, BX
	DECQ CX
	JNZ  step8x8

	TESTQ AX, AX
	JZ    store8x8
	MOVQ  DX, SI
	ADD8(Y0)
	ADD8(Y1)
	ADD8(Y2)
	ADD8(Y3)
	ADD8(Y4)
	ADD8(Y5)
	ADD8(Y6)
	ADD8(Y7)
	MOVQ  SI, DX

store8x8:
	STORE8(Y0)
	STORE8(Y1)
	STORE8(Y2)
	STORE8(Y3)
	STORE8(Y4)
	STORE8(Y5)
	STORE8(Y6)
	STORE8(Y7)
	VZEROUPPER
	RET

// One row of 16 in two registers.
#define ROW16(at, c0, c1, t) \
	VBROADCASTSS at, t \
	VFMADD231PS Y12, t, c0 \
	VFMADD231PS Y13, t, c1

#define ADD16(c0, c1) \
	VADDPS (DX), c0, c0 \
	VADDPS 32(DX), c1, c1 \
	ADDQ R11, DX

#define STORE16(c0, c1) \
	VMOVUPS c0, (DX) \
	VMOVUPS c1, 32(DX) \
	ADDQ R11, DX

// func micro6x16(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, cs, add int)
TEXT ·micro6x16(SB), NOSPLIT, $0-72
	SETUP
	LEAQ (R8)(R8*2), R12
	LEAQ (SI)(R12*1), DI
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11

step6x16:
	VMOVUPS (BX), Y12
	VMOVUPS 32(BX), Y13
	ROW16((SI), Y0, Y1, Y14)
	ROW16((SI)(R8*1), Y2, Y3, Y15)
	ROW16((SI)(R8*2), Y4, Y5, Y14)
	ROW16((DI), Y6, Y7, Y15)
	ROW16((DI)(R8*1), Y8, Y9, Y14)
	ROW16((DI)(R8*2), Y10, Y11, Y15)
	ADDQ R9, SI
	ADDQ R9, DI
	ADDQ R10, BX
	DECQ CX
	JNZ  step6x16

	TESTQ AX, AX
	JZ    store6x16
	MOVQ  DX, SI
	ADD16(Y0, Y1)
	ADD16(Y2, Y3)
	ADD16(Y4, Y5)
	ADD16(Y6, Y7)
	ADD16(Y8, Y9)
	ADD16(Y10, Y11)
	MOVQ  SI, DX

store6x16:
	STORE16(Y0, Y1)
	STORE16(Y2, Y3)
	STORE16(Y4, Y5)
	STORE16(Y6, Y7)
	STORE16(Y8, Y9)
	STORE16(Y10, Y11)
	VZEROUPPER
	RET

// func micro6x8(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, cs, add int)
TEXT ·micro6x8(SB), NOSPLIT, $0-72
	SETUP
	LEAQ (R8)(R8*2), R12
	LEAQ (SI)(R12*1), DI
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5

step6x8:
	VMOVUPS (BX), Y8
	ROW8((SI), Y0, Y9)
	ROW8((SI)(R8*1), Y1, Y10)
	ROW8((SI)(R8*2), Y2, Y11)
	ROW8((DI), Y3, Y12)
	ROW8((DI)(R8*1), Y4, Y13)
	ROW8((DI)(R8*2), Y5, Y14)
	ADDQ R9, SI
	ADDQ R9, DI
	ADDQ R10, BX
	DECQ CX
	JNZ  step6x8

	TESTQ AX, AX
	JZ    store6x8
	MOVQ  DX, SI
	ADD8(Y0)
	ADD8(Y1)
	ADD8(Y2)
	ADD8(Y3)
	ADD8(Y4)
	ADD8(Y5)
	MOVQ  SI, DX

store6x8:
	STORE8(Y0)
	STORE8(Y1)
	STORE8(Y2)
	STORE8(Y3)
	STORE8(Y4)
	STORE8(Y5)
	VZEROUPPER
	RET

// An 8 x 8 block in Y0-Y7, transposed, is stored ds apart.
#define TRANSPOSE \
	VUNPCKLPS Y1, Y0, Y8 \
	VUNPCKHPS Y1, Y0, Y9 \
	VUNPCKLPS Y3, Y2, Y10 \
	VUNPCKHPS Y3, Y2, Y11 \
	VUNPCKLPS Y5, Y4, Y12 \
	VUNPCKHPS Y5, Y4, Y13 \
	VUNPCKLPS Y7, Y6, Y14 \
	VUNPCKHPS Y7, Y6, Y15 \
	VUNPCKLPD Y10, Y8, Y0 \
	VUNPCKHPD Y10, Y8, Y1 \
	VUNPCKLPD Y11, Y9, Y2 \
	VUNPCKHPD Y11, Y9, Y3 \
	VUNPCKLPD Y14, Y12, Y4 \
	VUNPCKHPD Y14, Y12, Y5 \
	VUNPCKLPD Y15, Y13, Y6 \
	VUNPCKHPD Y15, Y13, Y7 \
	VPERM2F128 $0x20, Y4, Y0, Y8 \
	VPERM2F128 $0x20, Y5, Y1, Y9 \
	VPERM2F128 $0x20, Y6, Y2, Y10 \
	VPERM2F128 $0x20, Y7, Y3, Y11 \
	VPERM2F128 $0x31, Y4, Y0, Y12 \
	VPERM2F128 $0x31, Y5, Y1, Y13 \
	VPERM2F128 $0x31, Y6, Y2, Y14 \
	VPERM2F128 $0x31, Y7, Y3, Y15 \
	VMOVUPS Y8, (DI) \
	VMOVUPS Y9, (DI)(R8*1) \
	VMOVUPS Y10, (DI)(R8*2) \
	VMOVUPS Y11, (DI)(R9*1) \
	LEAQ (DI)(R8*4), DI \
	VMOVUPS Y12, (DI) \
	VMOVUPS Y13, (DI)(R8*1) \
	VMOVUPS Y14, (DI)(R8*2) \
	VMOVUPS Y15, (DI)(R9*1) \
	LEAQ (DI)(R8*4), DI

// func turn32(dst *float32, ds int, src *float32, ss, blocks int)
TEXT ·turn32(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ ds+8(FP), R8
	MOVQ src+16(FP), SI
	MOVQ ss+24(FP), R10
	MOVQ blocks+32(FP), CX
	SHLQ $2, R8
	SHLQ $2, R10
	LEAQ (R8)(R8*2), R9
	LEAQ (R10)(R10*2), R11
	LEAQ (SI)(R10*4), BX

block32:
	VMOVUPS (SI), Y0
	VMOVUPS (SI)(R10*1), Y1
	VMOVUPS (SI)(R10*2), Y2
	VMOVUPS (SI)(R11*1), Y3
	VMOVUPS (BX), Y4
	VMOVUPS (BX)(R10*1), Y5
	VMOVUPS (BX)(R10*2), Y6
	VMOVUPS (BX)(R11*1), Y7
	TRANSPOSE
	ADDQ $32, SI
	ADDQ $32, BX
	DECQ CX
	JNZ  block32
	VZEROUPPER
	RET

// A bfloat16 is the upper half of a float32.
#define WIDEN(at, y) \
	VPMOVZXWD at, y \
	VPSLLD $16, y, y

// func turn16(dst *float32, ds int, src *uint16, ss, blocks int)
TEXT ·turn16(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ ds+8(FP), R8
	MOVQ src+16(FP), SI
	MOVQ ss+24(FP), R10
	MOVQ blocks+32(FP), CX
	SHLQ $2, R8
	SHLQ $1, R10
	LEAQ (R8)(R8*2), R9
	LEAQ (R10)(R10*2), R11
	LEAQ (SI)(R10*4), BX

block16:
	WIDEN((SI), Y0)
	WIDEN((SI)(R10*1), Y1)
	WIDEN((SI)(R10*2), Y2)
	WIDEN((SI)(R11*1), Y3)
	WIDEN((BX), Y4)
	WIDEN((BX)(R10*1), Y5)
	WIDEN((BX)(R10*2), Y6)
	WIDEN((BX)(R11*1), Y7)
	TRANSPOSE
	ADDQ $16, SI
	ADDQ $16, BX
	DECQ CX
	JNZ  block16
	VZEROUPPER
	RET

// func copy32(dst *float32, ds, db int, src *float32, ss, sb, rows, blocks int)
TEXT ·copy32(SB), NOSPLIT, $0-64
	MOVQ dst+0(FP), DI
	MOVQ ds+8(FP), R8
	MOVQ db+16(FP), R9
	MOVQ src+24(FP), SI
	MOVQ ss+32(FP), R10
	MOVQ sb+40(FP), R11
	MOVQ rows+48(FP), CX
	MOVQ blocks+56(FP), R12
	SHLQ $2, R8
	SHLQ $2, R9
	SHLQ $2, R10
	SHLQ $2, R11

row32:
	MOVQ SI, AX
	MOVQ DI, DX
	MOVQ R12, BX

next32:
	VMOVUPS (AX), Y0
	VMOVUPS Y0, (DX)
	ADDQ R11, AX
	ADDQ R9, DX
	DECQ BX
	JNZ  next32
	ADDQ R10, SI
	ADDQ R8, DI
	DECQ CX
	JNZ  row32
	VZEROUPPER
	RET

// func copy16(dst *float32, ds, db int, src *uint16, ss, sb, rows, blocks int)
TEXT ·copy16(SB), NOSPLIT, $0-64
	MOVQ dst+0(FP), DI
	MOVQ ds+8(FP), R8
	MOVQ db+16(FP), R9
	MOVQ src+24(FP), SI
	MOVQ ss+32(FP), R10
	MOVQ sb+40(FP), R11
	MOVQ rows+48(FP), CX
	MOVQ blocks+56(FP), R12
	SHLQ $2, R8
	SHLQ $2, R9
	SHLQ $1, R10
	SHLQ $1, R11

row16:
	MOVQ SI, AX
	MOVQ DI, DX
	MOVQ R12, BX

next16:
	WIDEN((AX), Y0)
	VMOVUPS Y0, (DX)
	ADDQ R11, AX
	ADDQ R9, DX
	DECQ BX
	JNZ  next16
	ADDQ R10, SI
	ADDQ R8, DI
	DECQ CX
	JNZ  row16
	VZEROUPPER
	RET
