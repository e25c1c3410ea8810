// Package prompt holds the stages that turn questions into a teacher's answers:
// wrap-cot writes the prompts, batch-llm asks them.
package prompt
