package scheduler

// Look shows the view as it is.
func (m *Machine) Look(f func(View)) { f(View{m, m.steps}) }
