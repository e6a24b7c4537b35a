package sdk

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAnErrorsKindSurvivesTheBoundaryBetweenProcesses(t *testing.T) {
	for kind := range kindNames {
		here := fmt.Errorf("wrapped: %w", Errorf(kind, "why"))
		there := FromStatus(ToStatus(here))
		if KindOf(there) != kind || there.Error() != "wrapped: why" {
			t.Errorf("%s arrives as %s: %v", kind, KindOf(there), there)
		}
	}
}

func TestTheKindOfErrorsThatOthersMade(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want ErrorKind
	}{
		{nil, Unknown},
		{errors.New("why"), Unknown},
		{fmt.Errorf("read: %w", context.Canceled), Cancelled},
		{context.DeadlineExceeded, Cancelled},
		{status.Error(codes.DeadlineExceeded, "gRPC noticed first"), Cancelled},
		{status.Error(codes.Canceled, "gone"), Cancelled},
		{status.Error(codes.Internal, "a bug"), Unknown},
		{Errorf(Denied, "list: %w", Errorf(NotFound, "inner")), Denied},
	} {
		if got := KindOf(tc.err); got != tc.want {
			t.Errorf("%v is %s, want %s", tc.err, got, tc.want)
		}
	}
}
