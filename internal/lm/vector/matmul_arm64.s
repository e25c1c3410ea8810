#include "textflag.h"

// A step of the micro kernel: V16 and V17 hold the row of B. Each row of A has a pointer of
// its own, which moves by the distance of the steps.
#define ROW(at, t, c0, c1) \
	VLD1R.P (at)(R10), [t.S4] \
	VFMLA t.S4, V16.S4, c0.S4 \
	VFMLA t.S4, V17.S4, c1.S4

// The assembler has no addition of floats: V26 is all ones.
#define PLUS(c0, c1) \
	VLD1 (R14), [V24.S4, V25.S4] \
	VFMLA V24.S4, V26.S4, c0.S4 \
	VFMLA V25.S4, V26.S4, c1.S4 \
	ADD R15, R14

#define STORE(c0, c1) \
	VST1 [c0.S4, c1.S4], (R14) \
	ADD R15, R14

// func micro8x8(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, cs, add int)
TEXT ·micro8x8(SB), NOSPLIT, $0-72
	MOVD k+0(FP), R11
	MOVD a+8(FP), R0
	MOVD rs+16(FP), R9
	MOVD ks+24(FP), R10
	MOVD b+32(FP), R12
	MOVD bs+40(FP), R13
	MOVD c+48(FP), R14
	MOVD cs+56(FP), R15
	MOVD add+64(FP), R16
	LSL  $2, R9
	LSL  $2, R10
	LSL  $2, R13
	LSL  $2, R15
	ADD  R9, R0, R1
	ADD  R9, R1, R2
	ADD  R9, R2, R3
	ADD  R9, R3, R4
	ADD  R9, R4, R5
	ADD  R9, R5, R6
	ADD  R9, R6, R7
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	VEOR V4.B16, V4.B16, V4.B16
	VEOR V5.B16, V5.B16, V5.B16
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V7.B16, V7.B16, V7.B16
	VEOR V8.B16, V8.B16, V8.B16
	VEOR V9.B16, V9.B16, V9.B16
	VEOR V10.B16, V10.B16, V10.B16
	VEOR V11.B16, V11.B16, V11.B16
	VEOR V12.B16, V12.B16, V12.B16
	VEOR V13.B16, V13.B16, V13.B16
	VEOR V14.B16, V14.B16, V14.B16
	VEOR V15.B16, V15.B16, V15.B16

step:
	VLD1 (R12), [V16.S4, V17.S4]
	ADD  R13, R12
	ROW(R0, V18, V0, V1)
	ROW(R1, V19, V2, V3)
	ROW(R2, V20, V4, V5)
	ROW(R3, V21, V6, V7)
	ROW(R4, V22, V8, V9)
	ROW(R5, V23, V10, V11)
	ROW(R6, V24, V12, V13)
	ROW(R7, V25, V14, V15)
	SUBS $1, R11
	BNE  step

	CBZ  R16, store
	MOVD R14, R8
	MOVW $0x3f800000, R9
	VDUP R9, V26.S4
	PLUS(V0, V1)
	PLUS(V2, V3)
	PLUS(V4, V5)
	PLUS(V6, V7)
	PLUS(V8, V9)
	PLUS(V10, V11)
	PLUS(V12, V13)
	PLUS(V14, V15)
	MOVD R8, R14

store:
	STORE(V0, V1)
	STORE(V2, V3)
	STORE(V4, V5)
	STORE(V6, V7)
	STORE(V8, V9)
	STORE(V10, V11)
	STORE(V12, V13)
	STORE(V14, V15)
	RET
