package catalogue

import (
	"errors"

	"github.com/barman-go/barman/sdk"
)

// ParseInfo reads the content of a backup's backup.info. An error is of kind
// Corrupt.
func ParseInfo(id BackupID, content []byte) (*Backup, error) {
	b, err := parseInfo(content)
	if unknown := new(unknownFieldError); errors.As(err, &unknown) {
		return nil, sdk.Errorf(sdk.Corrupt, "backup.info of backup %s, %w; use the version that wrote it, or a newer barman", id, err)
	}
	if err != nil {
		return nil, sdk.Errorf(sdk.Corrupt, "backup.info of backup %s, %w; put a copy from before the damage in its place, or correct that line", id, err)
	}
	b.ID = id
	return b, nil
}

// FormatInfo renders the content of a backup's backup.info. An error is of kind
// Invalid.
func FormatInfo(b *Backup) ([]byte, error) {
	content, err := formatInfo(b)
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "backup %s: %w", b.ID, err)
	}
	return content, nil
}

// MaxInfo is how many bytes a backup.info has at most.
const MaxInfo = maxInfoSize

// AnnotationObject is the name of a note on a backup in a sink.
func AnnotationObject(id BackupID, name Annotation) string {
	return BackupsFolder + "/" + string(id) + "/" + annotationsName + "/" + string(name)
}
