module memwhy/workloads/go_pages

go 1.19
