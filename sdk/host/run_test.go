package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

// blackHole is an output that accepts everything.
func blackHole(t *testing.T) Lanes {
	t.Helper()
	dir, err := os.MkdirTemp("", "lane")
	if err != nil {
		t.Fatal(err)
	}
	address := filepath.Join(dir, "0")
	absorber, err := ListenAbsorber(Lanes{Inputs: []string{address}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// How it ends is another test's business.
		_ = absorber.Absorb(t.Context(), nil)
	}()
	t.Cleanup(func() {
		<-ended
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return Lanes{Outputs: []Output{{Lanes: []string{address}, Required: true}}}
}

func TestACancelledRunReturnsAfterTheStageHasCleanedUp(t *testing.T) {
	dir := t.TempDir()
	stage, _ := configured(t, "source", sdk.Server{Directory: dir})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := stage.Run(ctx, Backup(sdk.BackupRequest{}), blackHole(t), Events{Progress: func(int64, int64, int64) {
		if _, err := os.Stat(filepath.Join(dir, "begun")); err == nil {
			cancel()
		}
	}})
	if sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cleaned")); err != nil {
		t.Errorf("it was not waited for: %v", err)
	}
}

func TestACancellationBeforeTheOperationHasBegunIsNotLost(t *testing.T) {
	stage, _ := configured(t, "source", sdk.Server{Directory: t.TempDir()})
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := stage.Run(ctx, Backup(sdk.BackupRequest{}), blackHole(t), Events{})
		if sdk.KindOf(err) != sdk.Cancelled || strings.Contains(err.Error(), "did not stop") {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestAnOperationCanBeRunAgain(t *testing.T) {
	stage, _ := configured(t, "source", sdk.Server{Directory: t.TempDir()})
	operation := Backup(sdk.BackupRequest{})
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := stage.Run(ctx, operation, blackHole(t), Events{}); sdk.KindOf(err) != sdk.Cancelled {
			t.Errorf("the error is %v", err)
		}
		if len(operation.request.Outputs) > 0 {
			t.Errorf("running it has changed the operation: %v", operation.request)
		}
	}
}

func TestAnOperationOfAnotherKindIsInvalid(t *testing.T) {
	stage, _ := configured(t, "source", sdk.Server{})
	if err := stage.Run(t.Context(), Put(), Lanes{}, Events{}); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("the error is %v", err)
	}
	if err := stage.Delete(t.Context(), []string{"a"}); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("the error is %v", err)
	}
	for _, err := range stage.List(t.Context(), "") {
		if sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("the error is %v", err)
		}
	}
}
