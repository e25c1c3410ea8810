#include "textflag.h"

#define CONSTANTS \
	VBROADCASTSS ·expTable+0(SB), Y14 \
	VBROADCASTSS ·expTable+4(SB), Y13 \
	VBROADCASTSS ·expTable+8(SB), Y12 \
	VBROADCASTSS ·expTable+12(SB), Y11 \
	VBROADCASTSS ·expTable+36(SB), Y10 \
	VBROADCASTSS ·expTable+40(SB), Y9 \
	VPBROADCASTD ·expTable+44(SB), Y8

// Y4 = e to the power Y1, which is from -87 to 88; Y1, Y3, Y5 and Y6 change.
#define EXP \
	VMULPS Y14, Y1, Y3 \
	VROUNDPS $0, Y3, Y3 \
	VFNMADD231PS Y13, Y3, Y1 \
	VFNMADD231PS Y12, Y3, Y1 \
	VMOVAPS Y11, Y4 \
	VBROADCASTSS ·expTable+16(SB), Y5 \
	VFMADD213PS Y5, Y1, Y4 \
	VBROADCASTSS ·expTable+20(SB), Y5 \
	VFMADD213PS Y5, Y1, Y4 \
	VBROADCASTSS ·expTable+24(SB), Y5 \
	VFMADD213PS Y5, Y1, Y4 \
	VBROADCASTSS ·expTable+28(SB), Y5 \
	VFMADD213PS Y5, Y1, Y4 \
	VBROADCASTSS ·expTable+32(SB), Y5 \
	VFMADD213PS Y5, Y1, Y4 \
	VMULPS Y1, Y1, Y5 \
	VADDPS Y10, Y1, Y6 \
	VFMADD213PS Y6, Y5, Y4 \
	VCVTPS2DQ Y3, Y3 \
	VPADDD Y8, Y3, Y3 \
	VPSLLD $23, Y3, Y3 \
	VMULPS Y3, Y4, Y4

// func exps32(x *float32, blocks int, top float32, lanes *[8]float32)
TEXT ·exps32(SB), NOSPLIT, $0-32
	MOVQ x+0(FP), SI
	MOVQ blocks+8(FP), CX
	VBROADCASTSS top+16(FP), Y15
	MOVQ lanes+24(FP), DI
	VXORPS Y0, Y0, Y0
	CONSTANTS

next:
	VMOVUPS (SI), Y1
	VSUBPS Y15, Y1, Y1            // x - top
	VCMPPS $1, Y9, Y1, Y2         // which are below -87
	VMAXPS Y1, Y9, Y1             // NaN stays
	EXP
	VANDNPS Y4, Y2, Y4
	VADDPS Y4, Y0, Y0
	ADDQ $32, SI
	DECQ CX
	JNZ  next

	VMOVUPS Y0, (DI)
	VZEROUPPER
	RET

// func exp32(y, x *float32, blocks int, minus, times float32, lanes *[8]float32)
TEXT ·exp32(SB), NOSPLIT, $0-40
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ blocks+16(FP), CX
	VBROADCASTSS minus+24(FP), Y15
	VBROADCASTSS times+28(FP), Y7
	MOVQ lanes+32(FP), DX
	VXORPS Y0, Y0, Y0
	CONSTANTS

nextTo:
	VMOVUPS (SI), Y1
	VSUBPS Y15, Y1, Y1
	VCMPPS $1, Y9, Y1, Y2         // which are below -87
	VMAXPS Y1, Y9, Y1             // NaN stays
	VBROADCASTSS ·expTable+48(SB), Y3
	VMINPS Y1, Y3, Y1
	EXP
	VMULPS Y7, Y4, Y4
	VANDNPS Y4, Y2, Y4
	VMOVUPS Y4, (DI)
	VADDPS Y4, Y0, Y0
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  nextTo

	VMOVUPS Y0, (DX)
	VZEROUPPER
	RET

// Y4 = the logistic of u = x·(a + b·x²) for x in Y0, a in Y15 and b in Y7; Y2 = b·x².
#define LOGISTIC \
	VMULPS Y0, Y0, Y2 \
	VMULPS Y7, Y2, Y2 \
	VADDPS Y15, Y2, Y1 \
	VMULPS Y0, Y1, Y1 \
	VXORPS Y3, Y3, Y3 \
	VSUBPS Y1, Y3, Y1 \
	VMAXPS Y1, Y9, Y1 \
	VBROADCASTSS ·expTable+48(SB), Y3 \
	VMINPS Y1, Y3, Y1 \
	EXP \
	VADDPS Y10, Y4, Y4 \
	VDIVPS Y4, Y10, Y4

// func gate32(y, gate, up *float32, blocks int, a, b float32)
TEXT ·gate32(SB), NOSPLIT, $0-40
	MOVQ y+0(FP), DI
	MOVQ gate+8(FP), SI
	MOVQ up+16(FP), DX
	MOVQ blocks+24(FP), CX
	VBROADCASTSS a+32(FP), Y15
	VBROADCASTSS b+36(FP), Y7
	CONSTANTS
	XORQ AX, AX

nextGate:
	VMOVUPS (SI)(AX*1), Y0
	LOGISTIC
	VMULPS Y0, Y4, Y4
	VMULPS (DX)(AX*1), Y4, Y4
	VMOVUPS Y4, (DI)(AX*1)
	ADDQ $32, AX
	DECQ CX
	JNZ  nextGate
	VZEROUPPER
	RET

// func gateBack32(gate, up, dy *float32, blocks int, a, b float32)
TEXT ·gateBack32(SB), NOSPLIT, $0-40
	MOVQ gate+0(FP), SI
	MOVQ up+8(FP), DX
	MOVQ dy+16(FP), DI
	MOVQ blocks+24(FP), CX
	VBROADCASTSS a+32(FP), Y15
	VBROADCASTSS b+36(FP), Y7
	CONSTANTS
	XORQ AX, AX

nextBack:
	VMOVUPS (SI)(AX*1), Y0
	LOGISTIC                      // s
	VMULPS Y4, Y0, Y1             // y = x·s
	VBROADCASTSS ·expTable+52(SB), Y3
	VFMADD213PS Y15, Y3, Y2       // u' = a + 3·b·x²
	VSUBPS Y4, Y10, Y5            // 1 - s
	VMULPS Y1, Y5, Y5
	VFMADD231PS Y5, Y2, Y4        // slope = s + y·(1-s)·u'
	VMOVUPS (DI)(AX*1), Y5        // dy
	VMULPS (DX)(AX*1), Y5, Y6     // dy·up
	VMULPS Y4, Y6, Y6
	VMULPS Y1, Y5, Y5
	VMOVUPS Y6, (SI)(AX*1)
	VMOVUPS Y5, (DX)(AX*1)
	ADDQ $32, AX
	DECQ CX
	JNZ  nextBack
	VZEROUPPER
	RET

// func max32(x *float32, blocks int, lanes *[8]float32)
TEXT ·max32(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), SI
	MOVQ blocks+8(FP), CX
	MOVQ lanes+16(FP), DI
	VMOVUPS (DI), Y0

nextMax:
	VMOVUPS (SI), Y1
	VMAXPS Y0, Y1, Y0             // of NaN and a number the second, what was
	ADDQ $32, SI
	DECQ CX
	JNZ  nextMax
	VMOVUPS Y0, (DI)
	VZEROUPPER
	RET

// func scale32(x *float32, blocks int, by float32)
TEXT ·scale32(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ blocks+8(FP), CX
	VBROADCASTSS by+16(FP), Y0

nextScale:
	VMULPS (SI), Y0, Y1
	VMOVUPS Y1, (SI)
	ADDQ $32, SI
	DECQ CX
	JNZ  nextScale
	VZEROUPPER
	RET

// func dot32(x, y *float32, blocks int, lanes *[8]float32)
TEXT ·dot32(SB), NOSPLIT, $0-32
	MOVQ x+0(FP), SI
	MOVQ y+8(FP), DI
	MOVQ blocks+16(FP), CX
	MOVQ lanes+24(FP), DX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3

nextDots:
	CMPQ CX, $4
	JLT  nextDot
	VMOVUPS (SI), Y4
	VMOVUPS 32(SI), Y5
	VMOVUPS 64(SI), Y6
	VMOVUPS 96(SI), Y7
	VFMADD231PS (DI), Y4, Y0
	VFMADD231PS 32(DI), Y5, Y1
	VFMADD231PS 64(DI), Y6, Y2
	VFMADD231PS 96(DI), Y7, Y3
	ADDQ $128, SI
	ADDQ $128, DI
	SUBQ $4, CX
	JMP  nextDots

nextDot:
	TESTQ CX, CX
	JZ    dotted
	VMOVUPS (SI), Y4
	VFMADD231PS (DI), Y4, Y0
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JMP  nextDot

dotted:
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VADDPS Y2, Y0, Y0
	VMOVUPS Y0, (DX)
	VZEROUPPER
	RET

// func add32(y, x *float32, blocks int, a float32)
TEXT ·add32(SB), NOSPLIT, $0-28
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ blocks+16(FP), CX
	VBROADCASTSS a+24(FP), Y0
	XORQ AX, AX

nextAxpy:
	VMOVUPS (DI)(AX*1), Y1
	VFMADD231PS (SI)(AX*1), Y0, Y1
	VMOVUPS Y1, (DI)(AX*1)
	ADDQ $32, AX
	DECQ CX
	JNZ  nextAxpy
	VZEROUPPER
	RET

// func norm32(y, x, w *float32, blocks int, r float32)
TEXT ·norm32(SB), NOSPLIT, $0-36
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ w+16(FP), DX
	MOVQ blocks+24(FP), CX
	VBROADCASTSS r+32(FP), Y0
	XORQ AX, AX

nextNorm:
	VMULPS (SI)(AX*1), Y0, Y1
	VMULPS (DX)(AX*1), Y1, Y1
	VMOVUPS Y1, (DI)(AX*1)
	ADDQ $32, AX
	DECQ CX
	JNZ  nextNorm
	VZEROUPPER
	RET

// func dot3(x, y, z *float32, blocks int, lanes *[8]float32)
TEXT ·dot3(SB), NOSPLIT, $0-40
	MOVQ x+0(FP), SI
	MOVQ y+8(FP), DI
	MOVQ z+16(FP), DX
	MOVQ blocks+24(FP), CX
	MOVQ lanes+32(FP), BX
	VXORPS Y0, Y0, Y0
	XORQ AX, AX

nextDot3:
	VMOVUPS (SI)(AX*1), Y1
	VMULPS (DI)(AX*1), Y1, Y1
	VFMADD231PS (DX)(AX*1), Y1, Y0
	ADDQ $32, AX
	DECQ CX
	JNZ  nextDot3
	VMOVUPS Y0, (BX)
	VZEROUPPER
	RET

// func normBack32(dx, dy, x, w *float32, blocks int, r, b float32, more int)
TEXT ·normBack32(SB), NOSPLIT, $0-56
	MOVQ dx+0(FP), DI
	MOVQ dy+8(FP), BX
	MOVQ x+16(FP), SI
	MOVQ w+24(FP), DX
	MOVQ blocks+32(FP), CX
	VBROADCASTSS r+40(FP), Y0
	VBROADCASTSS b+44(FP), Y1
	MOVQ more+48(FP), R8
	XORQ AX, AX
	TESTQ R8, R8
	JNZ  nextMore

nextNormBack:
	VMULPS (BX)(AX*1), Y0, Y2
	VMULPS (DX)(AX*1), Y2, Y2
	VFMADD231PS (SI)(AX*1), Y1, Y2
	VMOVUPS Y2, (DI)(AX*1)
	ADDQ $32, AX
	DECQ CX
	JNZ  nextNormBack
	VZEROUPPER
	RET

nextMore:
	VMULPS (BX)(AX*1), Y0, Y2
	VMULPS (DX)(AX*1), Y2, Y2
	VFMADD231PS (SI)(AX*1), Y1, Y2
	VADDPS (DI)(AX*1), Y2, Y2
	VMOVUPS Y2, (DI)(AX*1)
	ADDQ $32, AX
	DECQ CX
	JNZ  nextMore
	VZEROUPPER
	RET

// func softmaxBack32(d, p *float32, blocks int, mean float32)
TEXT ·softmaxBack32(SB), NOSPLIT, $0-28
	MOVQ d+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ blocks+16(FP), CX
	VBROADCASTSS mean+24(FP), Y0
	XORQ AX, AX

nextSoft:
	VMOVUPS (DI)(AX*1), Y1
	VSUBPS Y0, Y1, Y1
	VMULPS (SI)(AX*1), Y1, Y1
	VMOVUPS Y1, (DI)(AX*1)
	ADDQ $32, AX
	DECQ CX
	JNZ  nextSoft
	VZEROUPPER
	RET

#define COEFFICIENT(at, y) \
	VBROADCASTSS ·tanhTable+at(SB), Y5 \
	VFMADD213PS Y5, Y1, y

// func cap32(x *float32, blocks int, limit, inverse float32)
TEXT ·cap32(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), SI
	MOVQ blocks+8(FP), CX
	VBROADCASTSS limit+16(FP), Y15
	VBROADCASTSS inverse+20(FP), Y14
	VBROADCASTSS ·tanhTable+44(SB), Y13
	VBROADCASTSS ·tanhTable+48(SB), Y12

nextCap:
	VMULPS (SI), Y14, Y0
	VMINPS Y0, Y13, Y0            // NaN stays
	VMAXPS Y0, Y12, Y0
	VMULPS Y0, Y0, Y1
	VBROADCASTSS ·tanhTable+0(SB), Y2
	COEFFICIENT(4, Y2)
	COEFFICIENT(8, Y2)
	COEFFICIENT(12, Y2)
	COEFFICIENT(16, Y2)
	COEFFICIENT(20, Y2)
	COEFFICIENT(24, Y2)
	VBROADCASTSS ·tanhTable+28(SB), Y3
	COEFFICIENT(32, Y3)
	COEFFICIENT(36, Y3)
	COEFFICIENT(40, Y3)
	VMULPS Y0, Y2, Y2
	VDIVPS Y3, Y2, Y2
	VMULPS Y15, Y2, Y2
	VMOVUPS Y2, (SI)
	ADDQ $32, SI
	DECQ CX
	JNZ  nextCap
	VZEROUPPER
	RET
