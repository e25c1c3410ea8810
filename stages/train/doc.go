// Package train holds the stages that train students and evaluate them.
//
// train-moe distils one set of reasoning paths into several students at once: a
// router reads each path and gives it to one student, and peer teaching pulls the
// students' hidden states together (QR-Distill, arXiv 2508.16861). The losses are
// those of the method with the parts replaced that cannot learn as published;
// router.go, peers.go and loop.go say which and why.
package train
