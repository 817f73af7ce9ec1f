module memwhy/workloads/stack_cgo

go 1.19
