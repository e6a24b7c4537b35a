package host

import (
	"context"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/proto"
)

// Land asks a sink for a landing directory; see sdk.LandingSink.
func (s *Stage) Land(ctx context.Context, name, reference string) (sdk.Landing, error) {
	ctx, done := s.watched(ctx)
	defer done(nil)
	reply, err := s.control.Land(ctx, &proto.LandRequest{Name: name, Reference: reference})
	if err != nil {
		return sdk.Landing{}, s.explain(ctx, err)
	}
	return sdk.Landing{Directory: reply.Directory, Reference: reply.Reference}, nil
}

// Seal has a sink make what landed durable.
func (s *Stage) Seal(ctx context.Context, name string) (sdk.Sealed, error) {
	ctx, done := s.watched(ctx)
	defer done(nil)
	reply, err := s.control.Seal(ctx, &proto.SealRequest{Name: name})
	if err != nil {
		return sdk.Sealed{}, s.explain(ctx, err)
	}
	return sdk.Sealed{Files: reply.Files, Size: reply.Size, Unshared: reply.Unshared}, nil
}
