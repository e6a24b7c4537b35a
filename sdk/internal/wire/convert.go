package wire

import (
	"io/fs"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/proto"
)

// ObjectToProto renders an object for a lane or the control connection.
func ObjectToProto(o sdk.Object) *proto.Object {
	p := &proto.Object{
		Name: o.Name, Kind: uint32(o.Kind), Mode: uint32(o.Mode), LinkTarget: o.LinkTarget, Size: o.Size, Replace: o.Replace,
		Verbatim: o.Verbatim,
	}
	if !o.ModTime.IsZero() {
		p.Modified = o.ModTime.UnixNano()
	}
	return p
}

// ObjectFromProto reads an object that a peer sent; what it says is checked.
func ObjectFromProto(p *proto.Object) (sdk.Object, error) {
	o := sdk.Object{
		Name: p.Name, Kind: sdk.ObjectKind(p.Kind), Mode: fs.FileMode(p.Mode) & fs.ModePerm, LinkTarget: p.LinkTarget,
		Size: p.Size, Replace: p.Replace, Verbatim: p.Verbatim,
	}
	if p.Modified != 0 {
		o.ModTime = time.Unix(0, p.Modified)
	}
	if !sdk.ValidName(o.Name) {
		return o, sdk.Errorf(sdk.Invalid, "%q is not an object name", o.Name)
	}
	if o.Kind > sdk.KindSymlink || o.Size < sdk.SizeUnknown {
		return o, sdk.Errorf(sdk.Invalid, "object %q: kind %d, size %d", o.Name, o.Kind, o.Size)
	}
	return o, nil
}

// ReceiptToProto renders a receipt.
func ReceiptToProto(r sdk.Receipt) *proto.Receipt {
	return &proto.Receipt{
		Name: r.Name, Size: r.Size, Crc32C: r.CRC32C, SourceName: r.SourceName, SourceSize: r.SourceSize,
		SourceCrc32C: r.SourceCRC32C, Output: uint32(r.Output),
	}
}

// ReceiptFromProto reads a receipt.
func ReceiptFromProto(p *proto.Receipt) sdk.Receipt {
	return sdk.Receipt{
		Name: p.Name, Size: p.Size, CRC32C: p.Crc32C, SourceName: p.SourceName, SourceSize: p.SourceSize,
		SourceCRC32C: p.SourceCrc32C, Output: int(p.Output),
	}
}
