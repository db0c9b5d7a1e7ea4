package zookeeper

// SetLeast sets the weight of the log at which a snapshot is written.
func (s *Store) SetLeast(weight int) { s.least = weight }

// SetPart sets the size of a part.
func (s *Store) SetPart(size int) { s.part = size }
