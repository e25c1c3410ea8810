// Package train holds the stages that train students and evaluate them.
//
// train-moe distils one set of reasoning paths into several students at once: a
// router reads each path and gives it to one student, and peer teaching pulls the
// students' hidden states together (QR-Distill, arXiv 2508.16861). train-sft trains
// one student on every path.
//
// Training is composed. A stage's config becomes a [plan], and is not looked at after
// that: students, the options of the loop, and from the method (method.go) the losses
// and the routing. A loss is a list of terms, each in a file loss_*.go that says what
// is unlike the published method and why. The [trainer] takes the steps: every student
// on every path first, routed then (routed_step.go); a [student] turns paths into batches
// and steps of its optimizer, and causal.Tuner into gradients.
package train
