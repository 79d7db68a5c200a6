//! The server's allocator as ours, so that documents count in `used_memory` and can be defragmented.

use std::alloc::{GlobalAlloc, Layout, System};

use redis_module::raw;

// Unit tests run outside a server, with the system's allocator.
#[cfg_attr(not(test), global_allocator)]
#[cfg_attr(test, expect(dead_code, reason = "there is no server"))]
static ALLOCATOR: ServerAllocator = ServerAllocator;

struct ServerAllocator;

/// What the server's allocator aligns to, whatever it is built with.
const ALIGNMENT: usize = 16;

/// Whether a value's own allocation is the server's.
pub(super) const fn is_servers<T>() -> bool {
    size_of::<T>() > 0 && align_of::<T>() <= ALIGNMENT
}

// SAFETY: the server's functions keep malloc's contract, and a block returns to the allocator it came from,
// since its alignment alone chooses between the two. Before the API is there, an allocation fails.
unsafe impl GlobalAlloc for ServerAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller gives a layout of non-zero size.
        unsafe {
            if layout.align() > ALIGNMENT {
                return System.alloc(layout);
            }
            raw::RedisModule_Alloc.map_or(std::ptr::null_mut(), |alloc| alloc(layout.size()).cast())
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `alloc` with this layout.
        unsafe {
            if layout.align() > ALIGNMENT {
                return System.dealloc(block, layout);
            }
            if let Some(free) = raw::RedisModule_Free {
                free(block.cast());
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the block came from `alloc` with this layout.
        unsafe {
            if layout.align() > ALIGNMENT {
                return System.realloc(block, layout, size);
            }
            raw::RedisModule_Realloc
                .map_or(std::ptr::null_mut(), |realloc| realloc(block.cast(), size).cast())
        }
    }
}
