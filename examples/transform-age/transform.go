package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"filippo.io/age"

	"github.com/barman-go/barman/sdk"
)

// Encryptor is the transform. Age works in chunks of 64 KiB, so its memory does
// not depend on the size of an object.
type Encryptor struct {
	recipients   []age.Recipient
	identityFile string
}

// New makes the transform that config describes.
func New(config *Config) (*Encryptor, error) {
	if err := config.Validate().Err(); err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	recipients, _ := config.recipients()
	return &Encryptor{recipients: recipients, identityFile: config.IdentityFile}, nil
}

// Suffix is that of the age tool.
func (e *Encryptor) Suffix() string { return ".age" }

// Encode encrypts src to all recipients.
func (e *Encryptor) Encode(_ context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	w, err := age.Encrypt(dst, e.recipients...)
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", o.Name, err)
	}
	if _, err := io.Copy(w, src); err != nil {
		// Without Close the file has no end, so that nobody can take it for a whole one.
		return fmt.Errorf("encrypt %s: %w", o.Name, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("encrypt %s: %w", o.Name, err)
	}
	return nil
}

// Decode decrypts src with the identities of the identity file. Damaged and
// incomplete data is an error of kind Corrupt, data encrypted to others one of
// kind Denied.
func (e *Encryptor) Decode(_ context.Context, o sdk.Object, dst io.Writer, src io.Reader) error {
	identities, err := e.identities()
	if err != nil {
		return fmt.Errorf("decrypt %s: %w", o.Name, err)
	}
	in, out := &input{r: src}, &output{w: dst}
	return e.outcome(o, in, out, decrypt(out, in, identities))
}

func decrypt(dst io.Writer, src io.Reader, identities []age.Identity) error {
	r, err := age.Decrypt(src, identities...)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, r)
	return err
}

// outcome tells what a failed decryption means: a read or write that failed is
// not the data's fault.
func (e *Encryptor) outcome(o sdk.Object, in *input, out *output, err error) error {
	var stranger *age.NoIdentityMatchError
	switch {
	case err == nil:
		return nil
	case in.err != nil:
		return fmt.Errorf("decrypt %s: %w", o.Name, in.err)
	case out.err != nil:
		return fmt.Errorf("decrypt %s: %w", o.Name, out.err)
	case errors.As(err, &stranger):
		return sdk.Errorf(sdk.Denied, "decrypt %s: it was encrypted to other recipients than those of the identities in %s; add the identity that it was encrypted to", o.Name, e.identityFile)
	}
	return sdk.Errorf(sdk.Corrupt, "decrypt %s: %w; restore it from another copy", o.Name, err)
}

// identities reads the identity file. A host that only takes backups has none.
func (e *Encryptor) identities() ([]age.Identity, error) {
	if e.identityFile == "" {
		return nil, sdk.Errorf(sdk.Invalid, "no identity_file is set for the transform \"age\"; name the file with the identity of one of the recipients")
	}
	f, err := os.Open(e.identityFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, sdk.Errorf(sdk.NotFound, "identity file: %w", err)
	case err != nil:
		return nil, sdk.Errorf(sdk.Denied, "identity file: %w", err)
	}
	identities, err := age.ParseIdentities(f)
	if err != nil {
		return nil, errors.Join(sdk.Errorf(sdk.Invalid, "identity file %s: %w", e.identityFile, err), f.Close())
	}
	return identities, f.Close()
}

// input remembers the error that ended a source.
type input struct {
	r   io.Reader
	err error
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && err != io.EOF {
		i.err = err
	}
	return n, err
}

// output remembers the error that ended a destination.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.err = err
	}
	return n, err
}
