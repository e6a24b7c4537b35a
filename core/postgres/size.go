package postgres

import "context"

// Size is the size of the cluster in bytes: all tablespaces, without WAL. The
// server looks at every file for it, which takes seconds on a large cluster, so
// that it is not among the Facts. A user without pg_read_all_stats gets a
// Denied error.
func (c *Conn) Size(ctx context.Context) (int64, error) {
	var bytes int64
	err := c.one(ctx, "measure the cluster", "SELECT coalesce(sum(pg_tablespace_size(oid)), 0)::bigint FROM pg_tablespace", &bytes)
	return bytes, err
}
