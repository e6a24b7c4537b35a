package replication

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/barman-go/barman/sdk"
)

// Rows reads one result set: a row description, rows, and the end of the
// command that made them.
func (s *Stream) Rows() ([]Row, error) {
	if err := s.Expect(RowDescription); err != nil {
		return nil, err
	}
	return s.RowsAfterDescription()
}

// RowsAfterDescription is Rows for a caller that has seen the row description.
func (s *Stream) RowsAfterDescription() ([]Row, error) {
	var rows []Row
	for {
		kind, _, err := s.Next()
		if err != nil {
			return nil, err
		}
		switch kind {
		case CommandComplete:
			return rows, nil
		case DataRow:
			row, err := s.row()
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		default:
			return nil, s.unexpected(kind, "a row")
		}
	}
}

func (s *Stream) row() (Row, error) {
	body, err := s.Body()
	if err != nil {
		return nil, err
	}
	var data pgproto3.DataRow
	if err := data.Decode(body); err != nil {
		return nil, s.failure(err)
	}
	row := make(Row, len(data.Values))
	for i, value := range data.Values {
		row[i] = string(value)
	}
	return row, nil
}

// Expect goes on to the next message, which must be of the given type.
func (s *Stream) Expect(want byte) error {
	kind, _, err := s.Next()
	if err != nil {
		return err
	}
	if kind != want {
		return s.unexpected(kind, fmt.Sprintf("%q", want))
	}
	return nil
}

// Finish reads until the server is ready for the next command.
func (s *Stream) Finish() error {
	for {
		kind, _, err := s.Next()
		if err != nil {
			return err
		}
		switch kind {
		case Ready:
			return nil
		case CommandComplete:
		default:
			return s.unexpected(kind, "the end of the command")
		}
	}
}

func (s *Stream) unexpected(kind byte, wanted string) error {
	return sdk.Errorf(sdk.Unavailable, "%s: %s: the server sent a message of type %q, expected %s", s.where, s.doing, kind, wanted)
}
