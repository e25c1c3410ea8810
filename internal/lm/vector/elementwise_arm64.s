#include "textflag.h"

// Instructions on four floats that the assembler has not: d = n op m.
#define FADD(m, n, d) WORD $(0x4E20D400 | (m)<<16 | (n)<<5 | (d))
#define FSUB(m, n, d) WORD $(0x4EA0D400 | (m)<<16 | (n)<<5 | (d))
#define FMUL(m, n, d) WORD $(0x6E20DC00 | (m)<<16 | (n)<<5 | (d))
#define FDIV(m, n, d) WORD $(0x6E20FC00 | (m)<<16 | (n)<<5 | (d))
#define FMAX(m, n, d) WORD $(0x4E20F400 | (m)<<16 | (n)<<5 | (d)) // NaN if one is
#define FMIN(m, n, d) WORD $(0x4EA0F400 | (m)<<16 | (n)<<5 | (d)) // NaN if one is
#define FMAXNM(m, n, d) WORD $(0x4E20C400 | (m)<<16 | (n)<<5 | (d)) // the other if one is NaN
#define FCMGT(m, n, d) WORD $(0x6EA0E400 | (m)<<16 | (n)<<5 | (d)) // where n > m
#define BIC(m, n, d) WORD $(0x4E601C00 | (m)<<16 | (n)<<5 | (d)) // n and not m
#define FRINTN(n, d) WORD $(0x4E218800 | (n)<<5 | (d))
#define FCVTNS(n, d) WORD $(0x4E21A800 | (n)<<5 | (d))
#define FNEG(n, d) WORD $(0x6EA0F800 | (n)<<5 | (d))

// expTable lies in V16 to V29.
#define CONSTANTS \
	MOVD $·expTable(SB), R9 \
	VLD1R.P 4(R9), [V16.S4] \
	VLD1R.P 4(R9), [V17.S4] \
	VLD1R.P 4(R9), [V18.S4] \
	VLD1R.P 4(R9), [V19.S4] \
	VLD1R.P 4(R9), [V20.S4] \
	VLD1R.P 4(R9), [V21.S4] \
	VLD1R.P 4(R9), [V22.S4] \
	VLD1R.P 4(R9), [V23.S4] \
	VLD1R.P 4(R9), [V24.S4] \
	VLD1R.P 4(R9), [V25.S4] \
	VLD1R.P 4(R9), [V26.S4] \
	VLD1R.P 4(R9), [V27.S4] \
	VLD1R.P 4(R9), [V28.S4] \
	VLD1R.P 4(R9), [V29.S4]

// V6 = e to the power V4, which is clamped to -87 to 88; V4, V5 and V7 change.
#define EXP \
	FMAX(26, 4, 4) \
	FMIN(28, 4, 4) \
	FMUL(16, 4, 5) \
	FRINTN(5, 5) \
	VFMLS V17.S4, V5.S4, V4.S4 \
	VFMLS V18.S4, V5.S4, V4.S4 \
	VMOV V20.B16, V6.B16 \
	VFMLA V19.S4, V4.S4, V6.S4 \
	VMOV V21.B16, V7.B16 \
	VFMLA V6.S4, V4.S4, V7.S4 \
	VMOV V22.B16, V6.B16 \
	VFMLA V7.S4, V4.S4, V6.S4 \
	VMOV V23.B16, V7.B16 \
	VFMLA V6.S4, V4.S4, V7.S4 \
	VMOV V24.B16, V6.B16 \
	VFMLA V7.S4, V4.S4, V6.S4 \
	FMUL(4, 4, 7) \
	FADD(25, 4, 4) \
	VFMLA V6.S4, V7.S4, V4.S4 \
	FCVTNS(5, 5) \
	VADD V27.S4, V5.S4, V5.S4 \
	VSHL $23, V5.S4, V5.S4 \
	FMUL(5, 4, 6)

// V6 = times·exp(x - minus), 0 below -87, for x in V4, minus in V30 and times in V31.
#define EXPS \
	FSUB(30, 4, 4) \
	FCMGT(4, 26, 3) \
	EXP \
	FMUL(31, 6, 6) \
	BIC(3, 6, 6)

// func exp32(y, x *float32, blocks int, minus, times float32, lanes *[8]float32)
TEXT ·exp32(SB), NOSPLIT, $0-40
	MOVD  y+0(FP), R0
	MOVD  x+8(FP), R1
	MOVD  blocks+16(FP), R2
	MOVWU minus+24(FP), R3
	MOVWU times+28(FP), R4
	MOVD  lanes+32(FP), R5
	CONSTANTS
	VDUP  R3, V30.S4
	VDUP  R4, V31.S4
	VEOR  V0.B16, V0.B16, V0.B16
	VEOR  V1.B16, V1.B16, V1.B16

exp:
	VLD1.P 16(R1), [V4.S4]
	EXPS
	FADD(6, 0, 0)
	VST1.P [V6.S4], 16(R0)
	VLD1.P 16(R1), [V4.S4]
	EXPS
	FADD(6, 1, 1)
	VST1.P [V6.S4], 16(R0)
	SUBS   $1, R2
	BNE    exp
	VST1   [V0.S4, V1.S4], (R5)
	RET

// V6 = the logistic of u = x·(a + b·x²) for x in V0, a in V30 and b in V31; V2 = b·x².
#define LOGISTIC \
	FMUL(0, 0, 2) \
	FMUL(31, 2, 2) \
	FADD(30, 2, 4) \
	FMUL(0, 4, 4) \
	FNEG(4, 4) \
	EXP \
	FADD(25, 6, 6) \
	FDIV(6, 25, 6)

// func gate32(y, gate, up *float32, blocks int, a, b float32)
TEXT ·gate32(SB), NOSPLIT, $0-40
	MOVD  y+0(FP), R0
	MOVD  gate+8(FP), R1
	MOVD  up+16(FP), R2
	MOVD  blocks+24(FP), R3
	MOVWU a+32(FP), R4
	MOVWU b+36(FP), R5
	CONSTANTS
	VDUP  R4, V30.S4
	VDUP  R5, V31.S4
	LSL   $1, R3

gate:
	VLD1.P 16(R1), [V0.S4]
	LOGISTIC
	VLD1.P 16(R2), [V1.S4]
	FMUL(0, 6, 6)
	FMUL(1, 6, 6)
	VST1.P [V6.S4], 16(R0)
	SUBS   $1, R3
	BNE    gate
	RET

// func gateBack32(gate, up, dy *float32, blocks int, a, b float32)
TEXT ·gateBack32(SB), NOSPLIT, $0-40
	MOVD  gate+0(FP), R0
	MOVD  up+8(FP), R1
	MOVD  dy+16(FP), R2
	MOVD  blocks+24(FP), R3
	MOVWU a+32(FP), R4
	MOVWU b+36(FP), R5
	CONSTANTS
	VDUP  R4, V30.S4
	VDUP  R5, V31.S4
	LSL   $1, R3

gateBack:
	VLD1   (R0), [V0.S4]
	LOGISTIC                       // s
	FMUL(6, 0, 1)                  // y = x·s
	VMOV   V30.B16, V3.B16
	VFMLA  V29.S4, V2.S4, V3.S4    // u' = a + 3·b·x²
	FSUB(6, 25, 4)                 // 1 - s
	FMUL(1, 4, 4)
	VFMLA  V3.S4, V4.S4, V6.S4     // slope = s + y·(1-s)·u'
	VLD1.P 16(R2), [V5.S4]         // dy
	VLD1   (R1), [V7.S4]
	FMUL(5, 7, 7)
	FMUL(7, 6, 6)
	FMUL(5, 1, 1)
	VST1.P [V6.S4], 16(R0)
	VST1.P [V1.S4], 16(R1)
	SUBS   $1, R3
	BNE    gateBack
	RET

// The numbers of tanhTable lie in V16 to V28.
#define TANHS \
	MOVD $·tanhTable(SB), R9 \
	VLD1R.P 4(R9), [V16.S4] \
	VLD1R.P 4(R9), [V17.S4] \
	VLD1R.P 4(R9), [V18.S4] \
	VLD1R.P 4(R9), [V19.S4] \
	VLD1R.P 4(R9), [V20.S4] \
	VLD1R.P 4(R9), [V21.S4] \
	VLD1R.P 4(R9), [V22.S4] \
	VLD1R.P 4(R9), [V23.S4] \
	VLD1R.P 4(R9), [V24.S4] \
	VLD1R.P 4(R9), [V25.S4] \
	VLD1R.P 4(R9), [V26.S4] \
	VLD1R.P 4(R9), [V27.S4] \
	VLD1R.P 4(R9), [V28.S4]

// func cap32(x *float32, blocks int, limit, inverse float32)
TEXT ·cap32(SB), NOSPLIT, $0-24
	MOVD  x+0(FP), R0
	MOVD  blocks+8(FP), R1
	MOVWU limit+16(FP), R2
	MOVWU inverse+20(FP), R3
	TANHS
	VDUP  R2, V30.S4
	VDUP  R3, V31.S4
	LSL   $1, R1

cap:
	VLD1   (R0), [V0.S4]
	FMUL(31, 0, 0)
	FMIN(27, 0, 0)
	FMAX(28, 0, 0)
	FMUL(0, 0, 1)
	VMOV   V17.B16, V2.B16
	VFMLA  V16.S4, V1.S4, V2.S4
	VMOV   V18.B16, V3.B16
	VFMLA  V2.S4, V1.S4, V3.S4
	VMOV   V19.B16, V2.B16
	VFMLA  V3.S4, V1.S4, V2.S4
	VMOV   V20.B16, V3.B16
	VFMLA  V2.S4, V1.S4, V3.S4
	VMOV   V21.B16, V2.B16
	VFMLA  V3.S4, V1.S4, V2.S4
	VMOV   V22.B16, V3.B16
	VFMLA  V2.S4, V1.S4, V3.S4     // p
	VMOV   V24.B16, V4.B16
	VFMLA  V23.S4, V1.S4, V4.S4
	VMOV   V25.B16, V5.B16
	VFMLA  V4.S4, V1.S4, V5.S4
	VMOV   V26.B16, V4.B16
	VFMLA  V5.S4, V1.S4, V4.S4     // q
	FMUL(0, 3, 3)
	FDIV(4, 3, 3)
	FMUL(30, 3, 3)
	VST1.P [V3.S4], 16(R0)
	SUBS   $1, R1
	BNE    cap
	RET

// func softmaxBack32(d, p *float32, blocks int, mean float32)
TEXT ·softmaxBack32(SB), NOSPLIT, $0-28
	MOVD  d+0(FP), R0
	MOVD  p+8(FP), R1
	MOVD  blocks+16(FP), R2
	MOVWU mean+24(FP), R3
	VDUP  R3, V4.S4

softmaxBack:
	VLD1   (R0), [V0.S4, V1.S4]
	VLD1.P 32(R1), [V2.S4, V3.S4]
	FSUB(4, 0, 0)
	FSUB(4, 1, 1)
	FMUL(2, 0, 0)
	FMUL(3, 1, 1)
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS   $1, R2
	BNE    softmaxBack
	RET

// func max32(x *float32, blocks int, lanes *[8]float32)
TEXT ·max32(SB), NOSPLIT, $0-24
	MOVD x+0(FP), R0
	MOVD blocks+8(FP), R1
	MOVD lanes+16(FP), R2
	VLD1 (R2), [V0.S4, V1.S4]

max:
	VLD1.P 32(R0), [V2.S4, V3.S4]
	FMAXNM(2, 0, 0)
	FMAXNM(3, 1, 1)
	SUBS   $1, R1
	BNE    max
	VST1   [V0.S4, V1.S4], (R2)
	RET

// func scale32(x *float32, blocks int, by float32)
TEXT ·scale32(SB), NOSPLIT, $0-20
	MOVD  x+0(FP), R0
	MOVD  blocks+8(FP), R1
	MOVWU by+16(FP), R2
	VDUP  R2, V2.S4

scale:
	VLD1   (R0), [V0.S4, V1.S4]
	FMUL(2, 0, 0)
	FMUL(2, 1, 1)
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS   $1, R1
	BNE    scale
	RET

// func add32(y, x *float32, blocks int, a float32)
TEXT ·add32(SB), NOSPLIT, $0-28
	MOVD  y+0(FP), R0
	MOVD  x+8(FP), R1
	MOVD  blocks+16(FP), R2
	MOVWU a+24(FP), R3
	VDUP  R3, V4.S4

add:
	VLD1   (R0), [V0.S4, V1.S4]
	VLD1.P 32(R1), [V2.S4, V3.S4]
	VFMLA  V2.S4, V4.S4, V0.S4
	VFMLA  V3.S4, V4.S4, V1.S4
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS   $1, R2
	BNE    add
	RET

// func dot32(x, y *float32, blocks int, lanes *[8]float32)
TEXT ·dot32(SB), NOSPLIT, $0-32
	MOVD x+0(FP), R0
	MOVD y+8(FP), R1
	MOVD blocks+16(FP), R2
	MOVD lanes+24(FP), R3
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16

dot:
	VLD1.P 32(R0), [V2.S4, V3.S4]
	VLD1.P 32(R1), [V4.S4, V5.S4]
	VFMLA  V2.S4, V4.S4, V0.S4
	VFMLA  V3.S4, V5.S4, V1.S4
	SUBS   $1, R2
	BNE    dot
	VST1   [V0.S4, V1.S4], (R3)
	RET

// func dot3(x, y, z *float32, blocks int, lanes *[8]float32)
TEXT ·dot3(SB), NOSPLIT, $0-40
	MOVD x+0(FP), R0
	MOVD y+8(FP), R1
	MOVD z+16(FP), R2
	MOVD blocks+24(FP), R3
	MOVD lanes+32(FP), R4
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16

dotThree:
	VLD1.P 32(R0), [V2.S4, V3.S4]
	VLD1.P 32(R1), [V4.S4, V5.S4]
	VLD1.P 32(R2), [V6.S4, V7.S4]
	FMUL(4, 2, 2)
	FMUL(5, 3, 3)
	VFMLA  V2.S4, V6.S4, V0.S4
	VFMLA  V3.S4, V7.S4, V1.S4
	SUBS   $1, R3
	BNE    dotThree
	VST1   [V0.S4, V1.S4], (R4)
	RET

// func norm32(y, x, w *float32, blocks int, r float32)
TEXT ·norm32(SB), NOSPLIT, $0-36
	MOVD  y+0(FP), R0
	MOVD  x+8(FP), R1
	MOVD  w+16(FP), R2
	MOVD  blocks+24(FP), R3
	MOVWU r+32(FP), R4
	VDUP  R4, V4.S4

norm:
	VLD1.P 32(R1), [V0.S4, V1.S4]
	VLD1.P 32(R2), [V2.S4, V3.S4]
	FMUL(4, 0, 0)
	FMUL(4, 1, 1)
	FMUL(2, 0, 0)
	FMUL(3, 1, 1)
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS   $1, R3
	BNE    norm
	RET

// func normBack32(dx, dy, x, w *float32, blocks int, r, b float32, more int)
TEXT ·normBack32(SB), NOSPLIT, $0-56
	MOVD  dx+0(FP), R0
	MOVD  dy+8(FP), R1
	MOVD  x+16(FP), R2
	MOVD  w+24(FP), R3
	MOVD  blocks+32(FP), R4
	MOVWU r+40(FP), R5
	MOVWU b+44(FP), R6
	MOVD  more+48(FP), R7
	VDUP  R5, V8.S4
	VDUP  R6, V9.S4

normBack:
	VLD1.P 32(R1), [V0.S4, V1.S4]
	VLD1.P 32(R3), [V2.S4, V3.S4]
	VLD1.P 32(R2), [V4.S4, V5.S4]
	FMUL(8, 0, 0)
	FMUL(8, 1, 1)
	FMUL(2, 0, 0)
	FMUL(3, 1, 1)
	VFMLA  V4.S4, V9.S4, V0.S4
	VFMLA  V5.S4, V9.S4, V1.S4
	CBZ    R7, alone
	VLD1   (R0), [V6.S4, V7.S4]
	FADD(6, 0, 0)
	FADD(7, 1, 1)

alone:
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS   $1, R4
	BNE    normBack
	RET
