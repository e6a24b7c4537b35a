package main

import "testing"

func TestConnectionOptionsMakeAConnectionString(t *testing.T) {
	for _, test := range []struct {
		given    cloudConnection
		database string // PGDATABASE
		want     string
	}{
		{cloudConnection{}, "", "dbname='postgres'"},
		{cloudConnection{}, "app", ""},
		{cloudConnection{host: "/run/pg", port: "5433", user: "it's", database: `a\b`}, "", `host='/run/pg' port='5433' user='it\'s' dbname='a\\b'`},
		{cloudConnection{user: "barman", database: "host=pg sslmode=require"}, "", "host=pg sslmode=require user='barman'"},
		{cloudConnection{user: "a b", database: "postgres://pg/app"}, "", "postgres://pg/app?user=a%20b"},
		{cloudConnection{user: "u", port: "1", database: "postgres://pg/app?sslmode=require"}, "", "postgres://pg/app?sslmode=require&port=1&user=u"},
	} {
		t.Setenv("PGDATABASE", test.database)
		t.Setenv("PGSERVICE", "")
		if got := test.given.conninfo().Reveal(); got != test.want {
			t.Errorf("%+v: %s, not %s", test.given, got, test.want)
		}
	}
}
