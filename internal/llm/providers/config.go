package providers

import (
	"time"

	"github.com/distillflow/distillflow/internal/llm"
)

// FailureOptions are the config fields that say what a stage does about requests that fail
// for themselves. A stage embeds them beside Options.
type FailureOptions struct {
	OnError   string `json:"on_error" default:"keep_going" choices:"keep_going|fail_fast" doc:"A request that failed after its retries: keep_going sets its path apart with the cause and goes on, fail_fast ends the stage. A wrong key, an empty budget or a provider that stays down always end it."`
	Threshold string `json:"threshold" semantic:"false" doc:"Share of requests that may fail, for example 2%; more of them end the stage. It is judged from the hundredth request on and at the end. Empty: any share."`
}

// Validate checks what the field tags cannot say. The error is a FieldError.
func (o FailureOptions) Validate() error {
	v, err := llm.ParseThreshold(o.Threshold)
	if err != nil {
		return FieldError{Field: "threshold", Msg: err.Error()}
	}
	if v > 0 && o.OnError == "fail_fast" {
		return FieldError{Field: "threshold", Msg: "on_error: fail_fast bears no failure at all; remove one of the two"}
	}
	return nil
}

// Failures starts counting under the policy.
func (o FailureOptions) Failures() *llm.Failures {
	v, err := llm.ParseThreshold(o.Threshold)
	return llm.NewFailures(llm.Policy{FailFast: o.OnError == "fail_fast" || err != nil, Threshold: v})
}

// Open builds the caller of a stage that runs in workDir.
func (o Options) Open(keyFile, priceFile, workDir string, svc Services) (*Caller, error) {
	if o.Refresh {
		name, err := RefreshName(workDir)
		if err != nil {
			return nil, err
		}
		svc.Refresh = name
	}
	return New(o.Settings(keyFile, priceFile), svc)
}

// Limiters gives the limits that the stages of a process share. value is that of the
// stage's surroundings, which keeps what create makes; package stage's Shared.Value.
func Limiters(value func(name string, create func() any) any) *llm.Limiters {
	l, _ := value("llm-limiters", func() any { return &llm.Limiters{} }).(*llm.Limiters)
	return l
}

// ReportEvery is how often a stage reports its progress.
const ReportEvery = 250 * time.Millisecond
