//! Counts the memory that a thread asks for. As the `#[global_allocator]` of the program that wants to know.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::fmt;
use std::ops::{Add, Sub};

/// Lets another allocator do the work.
pub struct Counting<A>(pub A);

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How often. To make a block larger or smaller counts as one more, since it may have to move.
    pub times: u64,
    /// Bytes altogether, the whole of a block that was made larger or smaller.
    pub bytes: u64,
    /// Bytes that were given back.
    pub freed: u64,
}

thread_local! {
    static ASKED: Cell<Asked> = const { Cell::new(Asked { times: 0, bytes: 0, freed: 0 }) };
}

/// What this thread asks for while it does `work`.
pub fn during<T>(work: impl FnOnce() -> T) -> (T, Asked) {
    let before = ASKED.get();
    let done = work();
    (done, ASKED.get() - before)
}

fn count(times: u64, bytes: usize, freed: usize) {
    let asked = Asked { times, bytes: bytes as u64, freed: freed as u64 };
    // A thread that ends may have no count any more; nobody asks for it then.
    let _ = ASKED.try_with(|count| count.set(count.get() + asked));
}

// SAFETY: everything is left to the other allocator, which keeps the contract if that does.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(1, new_size, layout.size());
        unsafe { self.0.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        unsafe { self.0.dealloc(block, layout) }
    }
}

impl Add for Asked {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { times: self.times + other.times, bytes: self.bytes + other.bytes, freed: self.freed + other.freed }
    }
}

impl Sub for Asked {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { times: self.times - other.times, bytes: self.bytes - other.bytes, freed: self.freed - other.freed }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} allocations, {} bytes", self.times, self.bytes)
    }
}
