#include "textflag.h"

DATA prime1<>+0(SB)/8, $0x9E3779B185EBCA87
GLOBL prime1<>(SB), RODATA|NOPTR, $8
DATA prime2<>+0(SB)/8, $0xC2B2AE3D27D4EB4F
GLOBL prime2<>(SB), RODATA|NOPTR, $8

// func stripes(lanes *[abreast][4]uint64, packets *[abreast]*byte, count int)
//
// A register holds the four lanes of two packets: Z0 those of packets 0 and 1, up
// to Z3. The steps of a lane depend on each other; those of the four registers do
// not, and overlap.
TEXT ·stripes(SB), NOSPLIT, $0-24
	MOVQ packets+8(FP), AX
	MOVQ 0(AX), SI
	MOVQ 8(AX), DI
	MOVQ 16(AX), R8
	MOVQ 24(AX), R9
	MOVQ 32(AX), R10
	MOVQ 40(AX), R11
	MOVQ 48(AX), R12
	MOVQ 56(AX), R13
	MOVQ lanes+0(FP), AX
	VMOVDQU64 0(AX), Z0
	VMOVDQU64 64(AX), Z1
	VMOVDQU64 128(AX), Z2
	VMOVDQU64 192(AX), Z3
	VPBROADCASTQ prime1<>(SB), Z8
	VPBROADCASTQ prime2<>(SB), Z9
	MOVQ count+16(FP), CX
	XORQ DX, DX

loop:
	VMOVDQU (SI)(DX*1), Y4
	VMOVDQU (R8)(DX*1), Y5
	VMOVDQU (R10)(DX*1), Y6
	VMOVDQU (R12)(DX*1), Y7
	VINSERTI64X4 $1, (DI)(DX*1), Z4, Z4
	VINSERTI64X4 $1, (R9)(DX*1), Z5, Z5
	VINSERTI64X4 $1, (R11)(DX*1), Z6, Z6
	VINSERTI64X4 $1, (R13)(DX*1), Z7, Z7
	VPMULLQ Z9, Z4, Z4
	VPMULLQ Z9, Z5, Z5
	VPMULLQ Z9, Z6, Z6
	VPMULLQ Z9, Z7, Z7
	VPADDQ Z4, Z0, Z0
	VPADDQ Z5, Z1, Z1
	VPADDQ Z6, Z2, Z2
	VPADDQ Z7, Z3, Z3
	VPROLQ $31, Z0, Z0
	VPROLQ $31, Z1, Z1
	VPROLQ $31, Z2, Z2
	VPROLQ $31, Z3, Z3
	VPMULLQ Z8, Z0, Z0
	VPMULLQ Z8, Z1, Z1
	VPMULLQ Z8, Z2, Z2
	VPMULLQ Z8, Z3, Z3
	ADDQ $32, DX
	DECQ CX
	JNZ loop

	VMOVDQU64 Z0, 0(AX)
	VMOVDQU64 Z1, 64(AX)
	VMOVDQU64 Z2, 128(AX)
	VMOVDQU64 Z3, 192(AX)
	VZEROUPPER
	RET
