module go_in_c

go 1.19
