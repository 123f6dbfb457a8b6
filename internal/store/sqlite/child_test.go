package sqlite

const childRole = "SQLITE_TEST_CHILD"

func child(string) int { return 1 }
