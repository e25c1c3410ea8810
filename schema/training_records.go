package schema

// RouterDecision is one routing decision of train-moe: which student the router
// gave one reasoning path to, in one epoch.
type RouterDecision struct {
	Epoch   int                `json:"epoch"` // 1-based
	Step    int                `json:"step"`  // 1-based optimizer step
	ID      string             `json:"id"`    // the problem
	Style   string             `json:"style"`
	Path    int                `json:"path"`    // index into the problem's paths
	Student string             `json:"student"` // the chosen student's name; "" where only Weights are known
	Probs   map[string]float64 `json:"probs"`   // student -> noise-free probability

	// Of every student, chosen or not.
	Losses  map[string]float64 `json:"losses,omitempty"`  // nats per byte of the path, before the step
	Weights map[string]float64 `json:"weights,omitempty"` // in the ensemble; with peers
}

// RecordType names the record for port type checks.
func (RouterDecision) RecordType() string { return "router-decision" }

// Metric is one measured value of a training run.
type Metric struct {
	Epoch   int     `json:"epoch"`
	Step    int     `json:"step"`
	Student string  `json:"student,omitempty"` // "" for values of the pair
	Name    string  `json:"name"`              // loss, router_entropy, peer_coverage, ...
	Value   float64 `json:"value"`
}

// RecordType names the record for port type checks.
func (Metric) RecordType() string { return "metric" }

// Embedding is the vector of one text, by which the router of train-moe reads it.
type Embedding struct {
	Text   string    `json:"text"` // SHA-256 of the text, in hexadecimal digits
	Vector []float32 `json:"vector"`
}

// RecordType names the record for port type checks.
func (Embedding) RecordType() string { return "embedding" }

// Score is the accuracy of one system on one task.
type Score struct {
	System string `json:"system"` // a student's name, "ensemble", "majority", ...
	// Kind is trained, untrained, ensemble, routed, baseline or bound; vote@k for the most frequent
	// of k answers; pass@k, a bound, for any of k answers.
	Kind string `json:"kind"`
	Task string `json:"task"`
	// Group is field=value of the problems counted, or style=NAME of students that read the
	// prompts of a style; "" means all, by their plain questions.
	Group      string  `json:"group,omitempty"`
	Count      int     `json:"count"`
	Correct    int     `json:"correct"`
	Unanswered int     `json:"unanswered"` // no answer was found in what the system wrote
	Accuracy   float64 `json:"accuracy"`   // Correct / Count
	Low        float64 `json:"low"`        // Wilson 95 % interval
	High       float64 `json:"high"`
	Note       string  `json:"note,omitempty"`
}

// RecordType names the record for port type checks.
func (Score) RecordType() string { return "score" }

// Comparison is a paired test between two systems on the problems of one task.
type Comparison struct {
	Task       string  `json:"task"`
	A          string  `json:"a"`      // system
	AKind      string  `json:"a_kind"` // as in Score
	B          string  `json:"b"`
	BKind      string  `json:"b_kind"`
	Count      int     `json:"count"`
	OnlyA      int     `json:"only_a"` // problems that A has right and B wrong
	OnlyB      int     `json:"only_b"`
	Difference float64 `json:"difference"` // accuracy of A less that of B: (OnlyA - OnlyB) / Count
	P          float64 `json:"p"`          // McNemar's exact test, two-sided
}

// RecordType names the record for port type checks.
func (Comparison) RecordType() string { return "comparison" }

// ArmScore is the accuracy of one student, or of the mean of the students, in one arm of
// an experiment.
type ArmScore struct {
	Task     string   `json:"task"`
	Arm      string   `json:"arm"`
	System   string   `json:"system"`   // a student's name, or "mean" of the arm's students
	Runs     int      `json:"runs"`     // seeds
	Problems int      `json:"problems"` // of one run
	Accuracy float64  `json:"accuracy"` // mean of the runs
	Low      float64  `json:"low"`      // 95 % interval
	High     float64  `json:"high"`
	Gain     *float64 `json:"gain,omitempty"`     // of the mean over the first arm's
	GainLow  *float64 `json:"gain_low,omitempty"` // 95 % interval over the runs, with two or more
	GainHigh *float64 `json:"gain_high,omitempty"`
	P        *float64 `json:"p,omitempty"`      // of no gain: sign-flip test over the runs, two-sided, with two or more
	PHolm    *float64 `json:"p_holm,omitempty"` // P with Holm's correction for all arms of the task
}

// RecordType names the record for port type checks.
func (ArmScore) RecordType() string { return "arm-score" }

// SystemScore is the accuracy of one system over several runs.
type SystemScore struct {
	Task     string  `json:"task"`
	Group    string  `json:"group,omitempty"` // as in Score
	System   string  `json:"system"`
	Kind     string  `json:"kind"`
	Runs     int     `json:"runs"`
	Problems int     `json:"problems"` // of one run
	Accuracy float64 `json:"accuracy"` // mean of the runs
	Low      float64 `json:"low"`      // 95 % interval
	High     float64 `json:"high"`
}

// RecordType names the record for port type checks.
func (SystemScore) RecordType() string { return "system-score" }

// SystemDifference is what one system gains over another in several runs.
type SystemDifference struct {
	Task       string  `json:"task"`
	A          string  `json:"a"`
	AKind      string  `json:"a_kind"`
	B          string  `json:"b"`
	BKind      string  `json:"b_kind"`
	Runs       int     `json:"runs"`
	Problems   int     `json:"problems"`   // of one run
	Difference float64 `json:"difference"` // accuracy of A less that of B, mean of the runs
	Low        float64 `json:"low"`        // 95 % interval
	High       float64 `json:"high"`
}

// RecordType names the record for port type checks.
func (SystemDifference) RecordType() string { return "system-difference" }

// RouterScore is how often one router agrees with an oracle, see stage type compare-routers.
type RouterScore struct {
	Router    string  `json:"router"`    // an arm, "most frequent", or a probe
	Runs      int     `json:"runs"`      // seeds
	Cells     int     `json:"cells"`     // styles whose better student is clear
	Decisions int     `json:"decisions"` // on paths of these styles, over all runs
	Balanced  float64 `json:"balanced"`  // balanced accuracy, mean of the runs
	Low       float64 `json:"low"`       // 95 % interval
	High      float64 `json:"high"`
	Accuracy  float64 `json:"accuracy"` // share of the decisions that agree, mean of the runs
}

// RecordType names the record for port type checks.
func (RouterScore) RecordType() string { return "router-score" }

// OracleCell is what runs of students that learned one style alone say of it.
type OracleCell struct {
	Cell      string             `json:"cell"` // the style
	Runs      int                `json:"runs"`
	Better    string             `json:"better"`   // the student with the higher mean accuracy
	Accuracy  map[string]float64 `json:"accuracy"` // student -> mean of the runs
	Lead      float64            `json:"lead"`     // of the better student over the next, mean of the runs
	Low       float64            `json:"low"`      // 95 % interval of the lead
	High      float64            `json:"high"`
	Clear     bool               `json:"clear"`     // the interval excludes zero
	Agreement map[string]float64 `json:"agreement"` // router -> share of the style's paths that went to the better student
}

// RecordType names the record for port type checks.
func (OracleCell) RecordType() string { return "oracle-cell" }

// Prediction is one system's answer to one test problem.
type Prediction struct {
	ID        string  `json:"id"`
	Task      string  `json:"task"`
	System    string  `json:"system"`
	Kind      string  `json:"kind"`                // as in Score, or sample
	Style     string  `json:"style,omitempty"`     // whose prompt the system read; "" means the plain question
	Sample    int     `json:"sample,omitempty"`    // 1-based among the samples; 0 means the greedy answer
	Reasoning string  `json:"reasoning,omitempty"` // what the system thought before it answered
	Response  string  `json:"response"`
	Pred      string  `json:"pred"`
	Gold      string  `json:"gold"`
	Correct   bool    `json:"correct"`
	LogProb   float64 `json:"log_prob_per_byte"` // natural log, over the generated text
}

// RecordType names the record for port type checks.
func (Prediction) RecordType() string { return "prediction" }

// Rate is how often one style was routed to one student.
type Rate struct {
	Epoch   int     `json:"epoch"` // 0 means all epochs together
	Style   string  `json:"style"`
	Student string  `json:"student"`
	Routed  int     `json:"routed"` // decisions for this style that chose the student
	Total   int     `json:"total"`  // decisions for this style
	Share   float64 `json:"share"`  // Routed / Total; 0 of no decision
	// Weight is the student's mean weight in the ensemble over the style's paths whose
	// weights are known; 0 where there is none.
	Weight float64 `json:"weight,omitempty"`
}

// RecordType names the record for port type checks.
func (Rate) RecordType() string { return "rate" }

// Accuracy is the share of correct paths of one task, style and provider.
type Accuracy struct {
	Task     string  `json:"task"`
	Style    string  `json:"style"`
	Provider string  `json:"provider"`
	Paths    int     `json:"paths"`
	Answered int     `json:"answered"` // paths with a response
	Parsed   int     `json:"parsed"`   // paths whose answer was found
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"` // Correct / Paths
	Low      float64 `json:"low"`      // Wilson 95 % interval
	High     float64 `json:"high"`
}

// RecordType names the record for port type checks.
func (Accuracy) RecordType() string { return "accuracy" }

// Quarantined is a line that scan could not read.
type Quarantined struct {
	File  string `json:"file,omitempty"` // relative to the scanned folder
	Line  int    `json:"line"`           // 1-based
	Error string `json:"error"`
	Raw   string `json:"raw"`
}

// RecordType names the record for port type checks.
func (Quarantined) RecordType() string { return "quarantined" }
