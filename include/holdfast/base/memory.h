#pragma once
/// What the process does with memory that it frees.
///
/// Source: mallopt(3), malloc_trim(3).

namespace holdfast {

/// For a process that passes on large buffers: freed memory is kept for the next buffer instead of
/// being unmapped. Fresh pages cost a stream more than copying into them. Call once, before
/// threads; what then lies idle goes back by return_freed_memory().
void keep_freed_memory();

/// Gives all of it back to the system. Takes some milliseconds.
void return_freed_memory();

}  // namespace holdfast
