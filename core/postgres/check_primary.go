package postgres

import (
	"context"
	"fmt"
)

// checkPrimary checks what primary_conninfo leads to: a standby that is backed up
// has the WAL switched there.
func checkPrimary(ctx context.Context, conninfo string, standby Facts) []Check {
	if !standby.InRecovery {
		return []Check{{Name: "PostgreSQL server is standby", Hint: "conninfo leads to a primary: primary_conninfo has no effect"}}
	}
	rows := []Check{{Name: "PostgreSQL server is standby", OK: true}}
	row := Check{Name: "Primary server is not a standby"}
	primary, err := factsOf(ctx, conninfo)
	if err != nil {
		row.Hint = "primary_conninfo: " + err.Error()
		return append(rows, row)
	}
	if row.OK = !primary.InRecovery; !row.OK {
		row.Hint = "primary_conninfo leads to a standby: make it lead to the primary"
	}
	same := Check{Name: "Primary and standby have same system ID", OK: primary.SystemID == standby.SystemID}
	if !same.OK {
		same.Hint = fmt.Sprintf("conninfo leads to the system Id %s, primary_conninfo to %s: make both name the same cluster", standby.SystemID, primary.SystemID)
	}
	return append(rows, row, same)
}

// factsOf asks a server that nothing else is wanted of.
func factsOf(ctx context.Context, conninfo string) (Facts, error) {
	conn, err := Connect(ctx, conninfo, defaultApplicationName)
	if err != nil {
		return Facts{}, err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	return conn.Facts(ctx)
}
