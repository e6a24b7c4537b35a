package wire

import "sync/atomic"

// Meter counts what passes through a stage.
type Meter struct {
	Objects, Bytes, Expected atomic.Int64
}
