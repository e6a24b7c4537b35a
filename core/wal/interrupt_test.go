package wal

import (
	"context"
	"os/signal"
	"syscall"
)

// interruptible ends as the command line's context does.
func interruptible() context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	return ctx
}
