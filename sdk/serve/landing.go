package serve

import (
	"context"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/proto"
)

func (s *stage) Land(ctx context.Context, request *proto.LandRequest) (*proto.LandReply, error) {
	sink, err := s.landing(request.Name)
	if err != nil {
		return nil, sdk.ToStatus(err)
	}
	granted, err := sink.Land(hclog.WithContext(ctx, s.logger), request.Name, request.Reference)
	if err != nil {
		return nil, sdk.ToStatus(err)
	}
	return &proto.LandReply{Directory: granted.Directory, Reference: granted.Reference}, nil
}

func (s *stage) Seal(ctx context.Context, request *proto.SealRequest) (*proto.SealReply, error) {
	sink, err := s.landing(request.Name)
	if err != nil {
		return nil, sdk.ToStatus(err)
	}
	sealed, err := sink.Seal(hclog.WithContext(ctx, s.logger), request.Name)
	if err != nil {
		return nil, sdk.ToStatus(err)
	}
	return &proto.SealReply{Files: sealed.Files, Size: sealed.Size, Unshared: sealed.Unshared}, nil
}

func (s *stage) landing(name string) (sdk.LandingSink, error) {
	r, err := s.playing()
	switch {
	case err != nil:
		return nil, err
	case r.landing == nil:
		return nil, s.notA("sink that grants landing directories")
	case !sdk.ValidName(name):
		return nil, sdk.Errorf(sdk.Invalid, "%q is not an object name", name)
	}
	return r.landing, nil
}

// land has a source fill a landing directory.
func (p *operation) land(ctx context.Context, source sdk.BackupSource, request *proto.Backup) error {
	landing := sdk.Landing{
		Directory: request.Landing.Directory, Reference: request.Landing.Reference,
		Progress: func(files, bytes int64) { p.meter.Objects.Store(files); p.meter.Bytes.Store(bytes) },
	}
	if request.Landing.Horizon != 0 {
		landing.Horizon = time.Unix(0, request.Landing.Horizon)
	}
	asked := backupRequest(request, int(request.Jobs))
	asked.Landing = &landing
	result, err := source.Backup(ctx, asked, groundEmitter{p})
	if err != nil {
		return err
	}
	p.send(&proto.Event{Event: &proto.Event_Backup{Backup: resultToProto(result)}})
	return nil
}

// groundEmitter is for a source that has nowhere to emit to.
type groundEmitter struct{ operation *operation }

func (groundEmitter) Emit(_ context.Context, o sdk.Object, _ io.Reader) error {
	return sdk.Errorf(sdk.Invalid, "%s was emitted, but is to be put into the landing directory; the plugin is at fault", o.Name)
}

func (g groundEmitter) Expect(bytes int64) { g.operation.meter.Expected.Store(bytes) }
