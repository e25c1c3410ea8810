package answer

import (
	"testing"

	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/task"
)

// TestLabels reads labels as models state them, and grades what it reads.
func TestLabels(t *testing.T) {
	intent := map[string][]string{
		"refund": {"money back", "reimburse"}, "cancel": nil, "cancel_order": {"order cancellation"},
		"card_arrival": nil, "complaint": nil, "other": nil,
	}
	spam := map[string][]string{"spam": nil, "not spam": {"ham"}}
	stars := map[string][]string{"1": {"one star"}, "2": nil, "3": nil, "4": nil, "5": nil}
	topic := map[string][]string{"Sports": nil, "World": nil, "Sci/Tech": {"science and technology"}, "C++": nil, "C": nil}
	for _, c := range []struct {
		labels         map[string][]string
		response, want string // "" where none is stated
	}{
		// as it is stated
		{intent, "refund", "refund"},
		{intent, "Refund.", "refund"},
		{intent, "REFUND", "refund"},
		{intent, "The answer is refund.", "refund"},
		{intent, "Answer: refund", "refund"},
		{intent, "Label: refund", "refund"},
		{intent, "Label: refund\nReason: the other items are fine, and they did not cancel.", "refund"},
		{intent, "**Intent:** card_arrival\n\nThey wait for it; nothing to cancel.", "card_arrival"},
		{intent, "The customer wants cash.\n\n**Refund**", "refund"},
		{intent, `The answer is "refund".`, "refund"},
		{intent, "The answer is `card_arrival`.", "card_arrival"},
		{intent, `So \boxed{refund}.`, "refund"},
		{intent, `So \boxed{\text{card\_arrival}}.`, "card_arrival"},
		{intent, `{"label": "refund"}`, "refund"},
		{intent, "```json\n{\"reason\": \"they do not cancel the other one\", \"label\": \"refund\"}\n```", "refund"},
		{intent, `{"other": false, "label": "refund"}`, "refund"},
		{intent, "<answer>refund</answer>", "refund"},
		{intent, "#### refund", "refund"},
		{intent, "Die Antwort ist refund.", "refund"},
		{intent, "答案是 refund。", "refund"},
		// names
		{intent, "The answer is money back.", "refund"},
		{intent, "The answer is: reimburse", "refund"},
		{intent, "The answer is card arrival.", "card_arrival"},
		{intent, "The answer is Card-Arrival.", "card_arrival"},
		{intent, "The answer is refunds.", "refund"},
		{intent, "The answer is complaints.", "complaint"},
		{intent, "The answer is cancel order.", "cancel_order"},
		{intent, "The answer is cancel-order, since it is one order.", "cancel_order"},
		{intent, "The answer is order cancellation.", "cancel_order"},
		{intent, "The answer is cancel.", "cancel"},
		{intent, "The answer is refundable.", ""},
		{intent, "The answer is refund_policy.", ""},
		{intent, "The answer is a voucher.", ""},
		{topic, "The answer is sports.", "Sports"},
		{topic, "The answer is sport.", "Sports"},
		{topic, "Sci/Tech", "Sci/Tech"},
		{topic, "The answer is science and technology.", "Sci/Tech"},
		{topic, "The answer is C++.", "C++"},
		{topic, "The answer is C.", "C"},
		// reasons and denials
		{intent, "The answer is refund, since other things are fine.", "refund"},
		{intent, "The answer is refund because they do not want to cancel.", "refund"},
		{intent, "The answer is refund (cancel would also fit).", "refund"},
		{intent, "The answer is refund (they want it all back, nothing to cancel).", "refund"},
		{intent, "The answer is refund (cancel).", ""},
		{intent, "The answer is refund, not cancel.", "refund"},
		{intent, "The answer is refund rather than cancel.", "refund"},
		{intent, "The answer is not cancel but refund.", "refund"},
		{intent, "The answer isn't cancel, it's refund.", "refund"},
		{intent, "The answer is not refund.", ""},
		{intent, "The answer isn't refund.", ""},
		{intent, "I don't think the answer is refund.", ""},
		{intent, "Could the answer be refund?", ""},
		{intent, "The answer is cancel. Wait, no. The answer is refund.", "refund"},
		{spam, "The answer is not spam.", "not spam"},
		{spam, "The answer is spam, not ham.", "spam"},
		{spam, "not_spam", "not spam"},
		{spam, "This is not spam.", "not spam"},
		{spam, "This is spam.", "spam"},
		// two labels
		{intent, "The answer is refund or cancel.", ""},
		{intent, "The answer is refund and cancel.", ""},
		{intent, "The answer is refund, cancel.", ""},
		{intent, "The answer is refund and possibly cancel.", ""},
		{intent, "The answer is either refund or cancel.", ""},
		{intent, "It may be refund or cancel.", ""},
		{intent, "The answer is refund, i.e. money back.", "refund"},
		// words of the prose
		{intent, "They want to return the other shoe. So this is a refund.", "refund"},
		{intent, "So this is a refund for the other order.", "refund"},
		{intent, "The answer is other.", "other"},
		{intent, "It fits none of the labels. Other", "other"},
		{intent, "Refund. The customer does not ask to cancel.", "refund"},
		{intent, "The intent is refund.", "refund"},
		{intent, "I would classify this as card_arrival.", "card_arrival"},
		{intent, "They ask for many things.", ""},
		// digits
		{stars, "The answer is 4.", "4"},
		{stars, "4", "4"},
		{stars, "The answer is 4.5.", ""},
		{stars, "Rating: 4 out of 5", "4"},
		{stars, "The answer is one star.", "1"},
		{stars, "The answer is 14.", ""},
	} {
		q := Question{Spec: &task.Task{Answer: task.Label, Labels: c.labels}, Gold: c.want}
		p := Extract(q, c.response, Options{})
		if p.Answer != c.want {
			t.Errorf("%q: %q (%s %s), want %q", c.response, p.Answer, p.Rule, p.Reason, c.want)
			continue
		}
		if r := Grade(q, p.Answer, mathverify.Options{}); c.want != "" && r.Verdict != mathverify.Equal {
			t.Errorf("%q: %s (%s)", c.response, r.Verdict, r.Reason)
		}
	}
	for pred, right := range map[string]bool{"Card Arrival": true, "card-arrival": true, "cancel": false, "": false, "refund, cancel": false} {
		q := Question{Spec: &task.Task{Answer: task.Label, Labels: intent}, Gold: "card_arrival"}
		if r := Grade(q, pred, mathverify.Options{}); (r.Verdict == mathverify.Equal) != right {
			t.Errorf("%q: %s (%s), want right %v", pred, r.Verdict, r.Reason, right)
		}
	}
}
