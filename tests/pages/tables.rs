// SPDX-License-Identifier: GPL-3.0-or-later
//! A variable and a function with Rust's names; one page of the variable is written.
use std::io::Read;

mod inner {
    #[repr(align(65536))]
    pub struct Window(pub [u8; 65536]);
    pub static mut TABLE: Window = Window([1; 65536]);

    #[inline(never)]
    pub fn write(page: usize) {
        unsafe { std::ptr::write_volatile((&raw mut TABLE.0 as *mut u8).add(page * 4096), 2) }
    }
}

fn main() {
    inner::write(3);
    println!("{{\"address\":\"{:p}\"}}", &raw const inner::TABLE);
    println!("{{\"ready\":true}}");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
