// Package schema holds the record types that stages exchange: one JSON object
// per line, one line per record.
//
// The central record is [Problem]: a question with its gold answer and the
// reasoning paths collected for it so far. A path is one object, so filtering
// paths never shears parallel lists apart and a path never loses its style.
// Fields that distillflow does not know are kept, byte for byte and in their
// order.
package schema
