//! An allocator and a memcpy that count, for every thread that does not ask to be left out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Smaller copies are structs that are moved, headers and names.
const COUNTED_COPY_BYTES_MIN: usize = 4 << 10;
/// Whether memcpy is ours.
pub(crate) const COPIES_ARE_COUNTED: bool = cfg!(all(target_arch = "x86_64", target_os = "linux"));

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static ALLOCATED_BYTES: AtomicU64 = AtomicU64::new(0);
static COPIED_BYTES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static LEFT_OUT: Cell<bool> = const { Cell::new(false) };
}

/// Counts since the process began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) allocations: u64,
    pub(crate) allocated_bytes: u64,
    /// Bytes of copies of at least 4 KiB.
    pub(crate) copied_bytes: u64,
}

/// This thread is not counted from here on.
pub(crate) fn not_counted() {
    LEFT_OUT.with(|left_out| left_out.set(true));
}

pub(crate) fn now() -> Counts {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Counts {
        allocations: read(&ALLOCATIONS),
        allocated_bytes: read(&ALLOCATED_BYTES),
        copied_bytes: read(&COPIED_BYTES),
    }
}

fn counted() -> bool {
    // A thread that is ending has no locals left; what it still does is not a message's.
    LEFT_OUT.try_with(|left_out| !left_out.get()).unwrap_or(false)
}

fn add(count: &AtomicU64, bytes: usize) {
    count.fetch_add(bytes as u64, Ordering::Relaxed);
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if counted() {
            add(&ALLOCATIONS, 1);
            add(&ALLOCATED_BYTES, layout.size());
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if counted() {
            add(&ALLOCATIONS, 1);
            add(&ALLOCATED_BYTES, size.saturating_sub(layout.size()));
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// The executable's own memcpy, which the dynamic linker prefers to the C library's.
///
/// # Safety
/// As C's: `count` bytes can be read and written, and do not overlap.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if count >= COUNTED_COPY_BYTES_MIN && counted() {
        add(&COPIED_BYTES, count);
    }
    // SAFETY: the caller's promises; the instruction copies forwards and keeps the direction flag.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") count => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
    }
    to
}
